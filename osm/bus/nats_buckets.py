"""A bucket's stream: made by the service that owns it, with the settings of a NATS key-value bucket.

The owner and no operator makes it, so that a lost bucket heals without a person; `status`, which nobody owns,
is made by whoever needs it first. A stream that is there already is left as it is: an operator may tune it.
"""

from nats.js import api
from nats.js.errors import BadRequestError

from osm.bus import nats_wire
from osm.bus.nats_connection import NatsConnection
from osm.bus.rights import STATUS
from osm.contracts.channels import STATUS_MAX_AGE_S

NAME_IN_USE = 10058
"""JetStream's error code for a stream of that name with other settings."""


async def ensure(link: NatsConnection, bucket: str, *, replicas: int, max_age_s: float = 0.0, reached: int = 0) -> None:
    """Make the bucket unless it is there. Raises one of `nats_link.AWAY`.

    `reached`: the last revision of the bucket that was lost, if there was one; the new one counts on from there,
    since watermarks compare revisions. Servers before 2.10 begin at 1 again.
    """
    config = api.StreamConfig(
        name=nats_wire.stream(bucket),
        description=f"Open Service Mesh: bucket {bucket}",
        subjects=[nats_wire.subject(bucket, ">")],
        max_msgs_per_subject=1,
        max_age=max_age_s or (STATUS_MAX_AGE_S if bucket == STATUS else None),
        discard=api.DiscardPolicy.NEW,
        deny_delete=True,
        allow_rollup_hdrs=False,  # a forged message could empty the bucket with one
        allow_direct=True,
        num_replicas=replicas,
        first_seq=reached + 1 if reached else None,
    )
    try:
        await link.api(link.jetstream.add_stream(config))
    except BadRequestError as error:
        if error.err_code != NAME_IN_USE:
            raise

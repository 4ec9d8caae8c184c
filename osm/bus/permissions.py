"""What each NATS user may publish and subscribe to: the rights of `rights`, as nats-server writes them.

Each service may write its own bucket and its own status lines, read the buckets it works from, ask and answer what the
channel table says, and receive answers under an inbox prefix of its own. Its bucket it makes itself; no user may
delete one, or a message of one.

These lists hold off mistakes. They do not say who wrote a message: `nats-server` checks neither the reply subject of
a request nor the target of a consumer or of a republishing stream, so who holds a stolen password can have it deliver
into another's bucket. Such a message is not believed, since it is not signed (`nats_signature`); what is left is that
its owner has to write again. Lines of `status` are not signed: they may be forged so, and nothing but people reads
them. Nor is availability kept: any user may fill the store, or make its owner's bucket first and wrongly.
"""

from msgspec import Struct

from osm.bus import nats_wire, rights
from osm.contracts.channels import BUCKETS, RPCS, STATES

USERS: tuple[str, ...] = (*rights.SERVICES, *rights.OBSERVERS)


class Permissions(Struct, frozen=True, kw_only=True):
    """Allow lists of one user, sorted; what is not in them is denied. `responds`: may answer what it is asked."""

    user: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    responds: bool = False


def permissions(user: str) -> Permissions:
    served = [rpc for rpc in RPCS if rpc.owner == user]
    publish = {rpc.subject(user) for rpc in RPCS if rights.may_ask(user, rpc)}
    for bucket in BUCKETS:
        publish |= _bucket_subjects(user, bucket)
    subscribe = {f"{nats_wire.inbox(user)}.>"} | {rpc.subject("*") for rpc in served}
    return Permissions(
        user=user, publish=tuple(sorted(publish)), subscribe=tuple(sorted(subscribe)), responds=bool(served)
    )


def render(users: tuple[str, ...] = USERS) -> str:
    """The `authorization` block of a nats-server configuration; passwords come from the server's environment."""
    blocks = "".join(_render_user(permissions(user)) for user in users)
    return f"authorization {{\n  users: [\n{blocks}  ]\n}}\n"


def password_variable(user: str) -> str:
    return f"OSM_NATS_PASSWORD_{user.upper()}"


def _bucket_subjects(user: str, bucket: str) -> set[str]:
    stream = nats_wire.stream(bucket)
    subjects = set()
    if rights.may_read(user, bucket):
        subjects |= {f"$JS.API.STREAM.INFO.{stream}", f"$JS.API.CONSUMER.CREATE.{stream}.*", f"$JS.FC.{stream}.>"}
    if rights.may_write(user, bucket):
        subjects |= {
            nats_wire.subject(bucket, ">"),
            f"$JS.API.STREAM.CREATE.{stream}",
            f"$JS.API.STREAM.PURGE.{stream}",
        }
    if bucket == rights.STATUS and user in rights.SERVICES:
        subjects |= {f"$JS.API.STREAM.CREATE.{stream}"} | _status_subjects(user)
    return subjects


def _status_subjects(user: str) -> set[str]:
    """A line that names its service can be put by that service alone."""
    return {
        nats_wire.subject(
            rights.STATUS,
            ".".join([state.entity, *(user if part == "service" else "*" for part in state.parts)]),
        )
        for state in STATES
        if state.bucket == rights.STATUS and user in state.writers
    }


def _render_user(allowed: Permissions) -> str:
    answers = "        allow_responses: true\n" if allowed.responds else ""
    return (
        "    {\n"
        f"      user: {allowed.user}\n"
        f"      password: ${password_variable(allowed.user)}\n"
        "      permissions: {\n"
        f"        publish: [{_render_list(allowed.publish)}]\n"
        f"        subscribe: [{_render_list(allowed.subscribe)}]\n"
        f"{answers}"
        "      }\n"
        "    }\n"
    )


def _render_list(subjects: tuple[str, ...]) -> str:
    return "".join(f'\n          "{subject}"' for subject in subjects) + "\n        "

"""When a request is tried again.

By themselves sidecars try again only what the app cannot have seen: the connection was never made, the stream was
refused, or nothing of the request had been sent when the connection broke. A request that may have been handled is
repeated on the user's word alone, a Retry. That adds its conditions to ours, and its numbers hold for all of them:
Envoy counts the tries of a request once. The next try goes to another endpoint if there is one.
"""

from collections.abc import Mapping

from envoy.config.route.v3.route_components_pb2 import HeaderMatcher, RetryPolicy
from envoy.extensions.retry.host.previous_hosts.v3.previous_hosts_pb2 import PreviousHostsPredicate
from google.protobuf.wrappers_pb2 import UInt32Value

from osm.contracts.catalog import ServiceRetry
from osm.contracts.names import ServiceName
from osm.contracts.traffic_settings import RetryTerms
from services.xds.translate.messages import milliseconds, packed, seconds
from services.xds.translate.model import View

Retries = Mapping[ServiceName, ServiceRetry]
"""What the user has asked for, by the service that is called."""

UNSEEN_BY_THE_APP = ("connect-failure", "refused-stream", "reset-before-request", "retriable-headers")
RETRIES = 3
"""One dead endpoint costs one; a rollout takes down two or three at once."""

RETRY_AFTER_S = 0.005
RETRY_AFTER_AT_MOST_S = 0.1
"""Elsewhere is likely to work at once; the growing pause is for a service that has nowhere else."""

GROWS_TO = 10
"""Times a user's first pause, as in Envoy's own default."""

ANOTHER_HOST_ATTEMPTS = 5
"""How often the balancer is asked for an endpoint not tried before; then any will do."""

NOT_DELIVERED = "x-osm-not-delivered"
"""Set by the server's sidecar on a 503 of its own when it could not connect to its app: the app saw nothing."""


def retries(view: View) -> Retries:
    """Of the workload's identity. A permissive mesh honours them as well."""
    return {each.service: each for each in (view.policy.retries if view.policy else ())}


def retry_policy(asked: RetryTerms | None) -> RetryPolicy:
    """Ours, and what the user has `asked` for beside it."""
    on = (*UNSEEN_BY_THE_APP, *(each for each in (asked.on if asked else ()) if each not in UNSEEN_BY_THE_APP))
    retries = asked.retries if asked and asked.retries is not None else RETRIES
    policy = RetryPolicy(
        retry_on=",".join(on),
        num_retries=UInt32Value(value=retries),
        retriable_headers=[HeaderMatcher(name=NOT_DELIVERED, present_match=True)],
        retry_back_off=_back_off(asked),
        retry_host_predicate=[
            RetryPolicy.RetryHostPredicate(
                name="envoy.retry_host_predicates.previous_hosts", typed_config=packed(PreviousHostsPredicate())
            )
        ],
        host_selection_retry_max_attempts=ANOTHER_HOST_ATTEMPTS,
    )
    if asked and asked.try_timeout_ms is not None:
        policy.per_try_timeout.CopyFrom(milliseconds(asked.try_timeout_ms))
    return policy


def _back_off(asked: RetryTerms | None) -> RetryPolicy.RetryBackOff:
    if asked is None or asked.back_off_ms is None:
        return RetryPolicy.RetryBackOff(
            base_interval=seconds(RETRY_AFTER_S), max_interval=seconds(RETRY_AFTER_AT_MOST_S)
        )
    return RetryPolicy.RetryBackOff(
        base_interval=milliseconds(asked.back_off_ms), max_interval=milliseconds(asked.back_off_ms * GROWS_TO)
    )

"""Retry (OSM v1alpha1): which failed requests a workload's sidecar sends again.

A Retry speaks of service accounts of its own namespace: who may write there decides how its workloads ask (OSM takes
one from anywhere). OSM passes conditions on as they are, and Envoy leaves out those that it does not know: a misspelt
one is an error here.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta

from osm.contracts.names import DnsLabel, DnsName, Identity, ServiceName
from osm.contracts.problem import Problem
from osm.contracts.traffic_settings import MAX_RETRIES, Retry, RetryTerms
from osm.manifests import RawDocument
from osm.manifests.convert import Fields
from osm.manifests.wording import nearest, shown
from osm.smi.durations import wait_problems, whole_ms
from osm.smi.shape import Object, ordered, repeated

CONDITIONS = frozenset(
    {
        "5xx",
        "cancelled",
        "connect-failure",
        "deadline-exceeded",
        "envoy-ratelimited",
        "gateway-error",
        "internal",
        "refused-stream",
        "reset",
        "reset-before-request",
        "resource-exhausted",
        "retriable-4xx",
        "unavailable",
    }
)
"""Of HTTP and of gRPC, as Envoy's router calls them (x-envoy-retry-on, x-envoy-retry-grpc-on)."""

IDLE_CONDITIONS = frozenset({"http3-post-connect-failure", "retriable-headers", "retriable-status-codes"})
"""Envoy knows them, and they come to nothing: a Retry has no field for the codes or headers that they speak of, and
sidecars speak no HTTP/3 to each other."""


class Source(Fields, frozen=True, kw_only=True):
    """Who asks."""

    kind: Literal["ServiceAccount"]
    name: DnsName
    namespace: DnsLabel


class Destination(Fields, frozen=True, kw_only=True):
    """Who is asked."""

    kind: Literal["Service"]
    name: DnsLabel
    namespace: DnsLabel


class RetryPolicy(Fields, frozen=True, kw_only=True):
    """When, how often and how fast."""

    retry_on: str
    per_try_timeout: str | None = None
    num_retries: Annotated[int, Meta(ge=0, le=MAX_RETRIES)] | None = None
    retry_backoff_base_interval: str | None = None


class Spec(Fields, frozen=True, kw_only=True):
    """What a Retry says."""

    source: Source
    destinations: tuple[Destination, ...]
    retry_policy: RetryPolicy


class Document(Object, frozen=True, kw_only=True):
    """A Retry as written."""

    spec: Spec


def retry(raw: RawDocument, spec: Spec) -> tuple[Retry, tuple[Problem, ...]]:
    """The contract; to be used only if no error is among the problems."""
    terms = spec.retry_policy
    found = Retry(
        namespace=raw.namespace,
        name=raw.name,
        source=Identity(spec.source.namespace, spec.source.name),
        destinations=ordered(ServiceName(each.namespace, each.name) for each in spec.destinations),
        terms=RetryTerms(
            on=tuple(sorted(set(_conditions(terms)) - IDLE_CONDITIONS)),
            retries=terms.num_retries,
            try_timeout_ms=whole_ms(terms.per_try_timeout),
            back_off_ms=whole_ms(terms.retry_backoff_base_interval),
        ),
    )
    return found, (*_whose(raw, spec), *_condition_problems(raw, terms), *_number_problems(raw, terms))


def _conditions(terms: RetryPolicy) -> list[str]:
    return [word.strip() for word in terms.retry_on.split(",") if word.strip()]


def _whose(raw: RawDocument, spec: Spec) -> Iterator[Problem]:
    if spec.source.namespace != raw.namespace:
        what = f"expected the namespace of the Retry itself, {raw.namespace}, found {shown(spec.source.namespace)}"
        yield raw.problem("spec.source.namespace", what)
    if not spec.destinations:
        yield raw.problem("spec.destinations", "expected at least one destination, found none")
    named = (f"{each.namespace}/{each.name}" for each in spec.destinations)
    yield from repeated(raw, ((f"spec.destinations[{at}]", name) for at, name in enumerate(named)))


def _condition_problems(raw: RawDocument, terms: RetryPolicy) -> Iterator[Problem]:
    field, found = "spec.retryPolicy.retryOn", _conditions(terms)
    if not found:
        yield raw.problem(
            field, f"expected at least one condition, found none; allowed are {', '.join(sorted(CONDITIONS))}"
        )
    for word in ordered(found):
        if word in IDLE_CONDITIONS:
            yield raw.problem(field, f"{shown(word)} has no effect: a Retry cannot say what it depends on", "warning")
        elif word not in CONDITIONS:
            yield raw.problem(field, f"{shown(word)} is no condition; {nearest(word, CONDITIONS)}")


def _number_problems(raw: RawDocument, terms: RetryPolicy) -> Iterator[Problem]:
    if terms.num_retries == 0:
        what = "0 means that nothing is sent again, not even what the app cannot have seen"
        yield raw.problem("spec.retryPolicy.numRetries", what, "warning")
    yield from wait_problems(raw, "spec.retryPolicy.perTryTimeout", terms.per_try_timeout, or_none=True)
    interval = terms.retry_backoff_base_interval
    yield from wait_problems(raw, "spec.retryPolicy.retryBackoffBaseInterval", interval)

"""Retry: what it comes to, and every mistake in one."""

import pytest

from osm.contracts.names import Identity, ServiceName
from osm.contracts.traffic_settings import Retry, RetryTerms
from osm.manifests import Parsed
from osm.manifests.yaml import read
from osm.smi import AnyPolicy, parse

SOURCE = "{kind: ServiceAccount, name: buyer, namespace: shop}"
DESTINATION = "{kind: Service, name: web, namespace: books}"
ALLOWED = (
    "5xx, cancelled, connect-failure, deadline-exceeded, envoy-ratelimited, gateway-error, internal, refused-stream, "
    "reset, reset-before-request, resource-exhausted, retriable-4xx, unavailable"
)


def parsed(
    terms: str = "retryOn: 5xx", source: str = SOURCE, destinations: str = f"[{DESTINATION}]"
) -> Parsed[AnyPolicy]:
    text = f"""\
apiVersion: policy.openservicemesh.io/v1alpha1
kind: Retry
metadata: {{name: it, namespace: shop}}
spec:
  source: {source}
  destinations: {destinations}
  retryPolicy: {{{terms}}}
"""
    reading = read(text, "f.yaml")
    assert reading.problems == ()
    return parse(reading.documents[0])


def sentences(found: Parsed[AnyPolicy]) -> list[str]:
    return [f"{each.severity} {each.field}: {each.what}" for each in found.problems]


def terms(found: Parsed[AnyPolicy]) -> RetryTerms:
    assert isinstance(found.object, Retry)
    return found.object.terms


def test_all_of_a_retry_is_read() -> None:
    found = parsed(
        'retryOn: "5xx, connect-failure,5xx", perTryTimeout: 1.5s, numRetries: 5, retryBackoffBaseInterval: 25ms'
    )
    assert found.problems == ()
    assert found.object == Retry(
        namespace="shop",
        name="it",
        source=Identity("shop", "buyer"),
        destinations=(ServiceName("books", "web"),),
        terms=RetryTerms(on=("5xx", "connect-failure"), retries=5, try_timeout_ms=1500, back_off_ms=25),
    )


def test_what_is_not_said_is_left_to_the_sidecar() -> None:
    assert terms(parsed()) == RetryTerms(on=("5xx",))


def test_a_time_limit_of_0_is_none() -> None:
    found = parsed("retryOn: 5xx, perTryTimeout: 0s")
    assert found.problems == ()
    assert terms(found).try_timeout_ms is None


def test_less_than_a_millisecond_is_one() -> None:
    assert terms(parsed("retryOn: 5xx, retryBackoffBaseInterval: 20us")).back_off_ms == 1


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        (
            "retriable-status-codes",
            'warning spec.retryPolicy.retryOn: "retriable-status-codes" has no effect: '
            "a Retry cannot say what it depends on",
        ),
        ("5x", f'error spec.retryPolicy.retryOn: "5x" is no condition; allowed are {ALLOWED} (did you mean `5xx`?)'),
        (
            "' , '",
            f"error spec.retryPolicy.retryOn: expected at least one condition, found none; allowed are {ALLOWED}",
        ),
    ],
)
def test_conditions_are_those_that_envoy_knows(word: str, sentence: str) -> None:
    assert sentences(parsed(f"retryOn: {word}")) == [sentence]


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        ("numRetries: 101", "error spec.retryPolicy.numRetries: expected a whole number <= 100, found 101"),
        ("numRetries: -1", "error spec.retryPolicy.numRetries: expected a whole number >= 0, found -1"),
        (
            "numRetries: 0",
            "warning spec.retryPolicy.numRetries: "
            "0 means that nothing is sent again, not even what the app cannot have seen",
        ),
        (
            "perTryTimeout: soon",
            'error spec.retryPolicy.perTryTimeout: expected a duration such as 250ms or 1m30s, found "soon"',
        ),
        (
            "perTryTimeout: 2h",
            'error spec.retryPolicy.perTryTimeout: expected a duration of at most 1h, found "2h"',
        ),
        (
            "retryBackoffBaseInterval: 0s",
            "error spec.retryPolicy.retryBackoffBaseInterval: "
            'expected a duration of more than 0 and at most 1h, found "0s"',
        ),
        (
            "retries: 3",
            "error spec.retryPolicy.retries: unknown field; "
            "allowed are numRetries, perTryTimeout, retryBackoffBaseInterval, retryOn (did you mean `numRetries`?)",
        ),
    ],
)
def test_numbers_and_times_are_bounded(field: str, sentence: str) -> None:
    assert sentences(parsed(f"retryOn: 5xx, {field}")) == [sentence]


@pytest.mark.parametrize(
    ("source", "destinations", "sentence"),
    [
        (
            "{kind: ServiceAccount, name: buyer, namespace: other}",
            f"[{DESTINATION}]",
            'error spec.source.namespace: expected the namespace of the Retry itself, shop, found "other"',
        ),
        (
            "{kind: Service, name: buyer, namespace: shop}",
            f"[{DESTINATION}]",
            'error spec.source.kind: expected ServiceAccount, found "Service"',
        ),
        (SOURCE, "[]", "error spec.destinations: expected at least one destination, found none"),
        (
            SOURCE,
            f"[{DESTINATION}, {DESTINATION}]",
            'error spec.destinations[1]: "books/web" is there twice, first as spec.destinations[0] at line 6',
        ),
        (
            SOURCE,
            "[{kind: ServiceAccount, name: web, namespace: books}]",
            'error spec.destinations[0].kind: expected Service, found "ServiceAccount"',
        ),
    ],
)
def test_a_retry_speaks_of_its_own_accounts_and_of_services(source: str, destinations: str, sentence: str) -> None:
    found = parsed(source=source, destinations=destinations)
    assert sentences(found) == [sentence]
    assert found.object is None

"""Who holds a lease, and until when."""

from datetime import UTC, datetime

import msgspec

from osm.k8s.lease_state import Claim, Rival, held, released
from osm.k8s.objects import Lease, LeaseSpec, ObjectMeta

CLAIM = Claim(namespace="osm-system", name="turn", holder="us", lease_s=15.0)
NOON = datetime(2026, 1, 2, 12, 0, 0, 500, tzinfo=UTC)


def lease(holder: str | None, *, seconds: int = 15) -> Lease:
    return Lease(
        metadata=ObjectMeta(name="turn", namespace="osm-system", resource_version="7"),
        spec=LeaseSpec(
            holder_identity=holder, lease_duration_seconds=seconds, acquire_time="then", lease_transitions=3
        ),
    )


def rival(seen: Lease | None) -> Rival:
    found = Rival("us")
    found.see(seen, 100.0)
    return found


def test_a_lease_that_nobody_made_is_free() -> None:
    assert rival(None).free_at_s() == 100.0


def test_a_lease_that_was_given_back_is_free() -> None:
    assert rival(lease(None)).free_at_s() == 100.0


def test_our_own_lease_is_free_to_us() -> None:
    assert rival(lease("us")).free_at_s() == 100.0


def test_anothers_lease_is_free_when_it_has_not_changed_for_its_length() -> None:
    assert rival(lease("them", seconds=20)).free_at_s() == 120.0


def test_taking_a_lease_counts_as_a_turn() -> None:
    body = held(CLAIM, lease("them"), NOON)
    assert body["metadata"] == {"namespace": "osm-system", "name": "turn", "resourceVersion": "7"}
    assert body["spec"] == {
        "holderIdentity": "us",
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-01-02T12:00:00.000500Z",
        "renewTime": "2026-01-02T12:00:00.000500Z",
        "leaseTransitions": 4,
    }


def test_renewing_a_lease_keeps_when_it_was_taken() -> None:
    spec = held(CLAIM, lease("us"), NOON)["spec"]
    assert (spec["acquireTime"], spec["leaseTransitions"]) == ("then", 3)


def test_a_lease_shorter_than_a_second_is_written_as_one() -> None:
    brief = msgspec.structs.replace(CLAIM, lease_s=0.2)
    assert held(brief, None, NOON)["spec"]["leaseDurationSeconds"] == 1


def test_a_lease_given_back_names_nobody() -> None:
    assert "holderIdentity" not in released(lease("us"), NOON)["spec"]

"""Which of JetStream's errors a writer waits out, and which end it. Codes are those of nats-server's `errors.json`."""

import pytest

from osm.bus.nats_wire import is_refusal


@pytest.mark.parametrize(
    ("code", "err_code"),
    [(503, 10008), (503, 10039), (503, 10076), (400, 10005), (500, 10007), (500, 10009), (500, 10041)],
    ids=["unavailable", "not yet for the account", "not yet", "too few peers", "no meta leader", "no leader", "raft"],
)
def test_servers_that_are_not_all_there_are_waited_for(code: int, err_code: int) -> None:
    assert not is_refusal(code, err_code)


@pytest.mark.parametrize(
    ("code", "err_code"),
    [(503, 10023), (503, 10077), (400, 10002), (500, 10047), (500, 10074), (400, 10052), (403, 0)],
    ids=["no room", "full stream", "full account", "full disk", "replicas of one server", "bad stream", "forbidden"],
)
def test_what_needs_a_person_is_a_refusal(code: int, err_code: int) -> None:
    assert is_refusal(code, err_code)

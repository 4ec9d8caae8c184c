"""Which error an answer is."""

import pytest

from osm.k8s.errors import ApiError, Busy, Gone, refusal


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_starts_anew_and_what_stands_before_it_are_busy(status: int) -> None:
    """Whoever follows a kind goes on from where it was; any other error would have all of them list everything."""
    assert isinstance(refusal("list pods", status, b"<html>Bad Gateway</html>"), Busy)


def test_the_servers_own_words_come_after_what_was_asked() -> None:
    error = refusal("list pods", 410, b'{"kind": "Status", "reason": "Expired", "message": "too old", "code": 410}')
    assert (type(error), str(error), error.reason) == (Gone, "list pods: too old", "Expired")


def test_a_body_that_is_no_status_is_told_by_its_beginning() -> None:
    error = refusal("list pods", 418, b"<html>" + b"x" * 10_000)
    assert type(error) is ApiError
    assert str(error).startswith("list pods: <html>x")
    assert len(str(error)) < 400

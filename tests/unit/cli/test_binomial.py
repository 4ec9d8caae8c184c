import pytest
from hypothesis import given
from hypothesis import strategies as st

from osm.cli.demo.binomial import interval


@pytest.mark.parametrize(
    ("requests", "share", "bounds"),
    [(1000, 0.5, (423, 577)), (1000, 0.1, (57, 149)), (1000, 1.0, (1000, 1000)), (1000, 0.0, (0, 0))],
)
def test_the_exact_interval(requests: int, share: float, bounds: tuple[int, int]) -> None:
    assert interval(requests, share) == bounds


@given(st.integers(1, 300), st.floats(0.001, 0.999))
def test_the_interval_holds_the_expected_count(requests: int, share: float) -> None:
    low, high = interval(requests, share)
    assert 0 <= low <= requests * share <= high <= requests

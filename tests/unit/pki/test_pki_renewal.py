from hypothesis import given
from hypothesis import strategies as st

from osm.pki.renewal import RETRY_MOST_S, renew_at, retry_in

JITTER = st.floats(0, 1, exclude_max=True)


@given(start=st.integers(0, 2**32), life=st.integers(1, 10**9), jitter=JITTER)
def test_renewal_is_due_between_six_and_three_quarters_tenths_of_the_life(start, life, jitter):
    share = (renew_at(start, start + life, jitter) - start) / life
    assert 0.6 < share < 0.73


def test_jitter_spreads_renewals():
    assert renew_at(0, 1000, 0.0) < renew_at(0, 1000, 0.5) < renew_at(0, 1000, 0.99)


@given(attempt=st.integers(1, 10_000), jitter=JITTER)
def test_retries_slow_down_to_a_bound(attempt, jitter):
    assert 0 < retry_in(attempt, jitter) <= RETRY_MOST_S
    assert retry_in(attempt, jitter) <= retry_in(attempt + 1, jitter)


@given(attempt=st.integers(1, 100), jitter=JITTER, left_s=st.floats(1, 10**6))
def test_a_certificate_in_use_is_retried_several_times_before_it_ends(attempt, jitter, left_s):
    assert retry_in(attempt, jitter, left_s) <= left_s / 4

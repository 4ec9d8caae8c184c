"""Whether a split that was observed could be chance: the exact binomial interval. Pure arithmetic."""

import math

CONFIDENCE = 0.999999
"""Of a million right splits, one is called wrong: a check that fails by chance now and then is not believed when it
fails for a reason. A thousand requests still tell halves from 60/40."""


def interval(requests: int, share: float) -> tuple[int, int]:
    """The least and the most of `requests` that a backend with this share may serve, each tail half of 1 - CONFIDENCE.

    A share of 0 or 1 leaves nothing to chance.
    """
    if share <= 0.0:
        return 0, 0
    if share >= 1.0:
        return requests, requests
    tail = (1.0 - CONFIDENCE) / 2
    low = _least_above(requests, share, tail)
    return low, requests - _least_above(requests, 1.0 - share, tail)


def _least_above(requests: int, share: float, tail: float) -> int:
    """The smallest count k with P(X <= k) > tail."""
    total = 0.0
    for count in range(requests + 1):
        total += math.exp(
            math.lgamma(requests + 1)
            - math.lgamma(count + 1)
            - math.lgamma(requests - count + 1)
            + count * math.log(share)
            + (requests - count) * math.log1p(-share)
        )
        if total > tail:
            return count
    return requests

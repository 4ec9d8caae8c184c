"""When a certificate is replaced, and how long to wait after a failed attempt. Numbers in, numbers out."""

RENEW_AT_SHARE = 2 / 3
"""Of its life: one whole third is left for an issuer that is down."""

JITTER_SHARE = 0.1
"""Of its life: certificates made together (a mesh that restarted) are not renewed together."""

RETRY_FIRST_S = 0.2
RETRY_MOST_S = 30.0
"""A certificate authority that comes back is noticed within half a minute, and is not flooded until then."""


def renew_at(not_before_s: float, not_after_s: float, jitter: float) -> float:
    """When to replace, seconds since the epoch; `jitter` in [0, 1) spreads it evenly around two thirds of the life."""
    life_s = not_after_s - not_before_s
    return not_before_s + life_s * (RENEW_AT_SHARE + (jitter - 0.5) * JITTER_SHARE)


def retry_in(attempt: int, jitter: float, left_s: float | None = None) -> float:
    """Seconds until the next attempt after `attempt` failures (from 1): doubling, half of it jitter.

    `left_s` is what remains of the certificate in use: short lives are retried within a quarter of it.
    """
    most_s = RETRY_MOST_S if left_s is None else min(RETRY_MOST_S, max(RETRY_FIRST_S, left_s / 4))
    pause_s = min(most_s, RETRY_FIRST_S * 2.0 ** min(attempt - 1, 16))
    return pause_s * (0.5 + jitter / 2)

"""Until when a root must be trusted: the latest end of anything it has signed.

A root may leave the bundle only after that moment; so it is recorded before a signature is given away,
and an upper bound is enough. Pure: persistence is `ledger`'s.
"""

from collections.abc import Mapping

Granted = Mapping[str, int]
"""Issuer (key id) → the latest not-after it has granted, or more; seconds since the epoch."""

STEP_SHARE = 8
"""Recorded ahead by an eighth of the life asked for: thousands of signatures then need a handful of writes."""


def raised(granted: Granted, issuer: str, *, not_after_s: int, lifetime_s: int, issuer_end_s: int) -> int | None:
    """What to record before signing until `not_after_s`; None if what is recorded covers it already."""
    if granted.get(issuer, 0) >= not_after_s:
        return None
    return max(not_after_s, min(not_after_s + lifetime_s // STEP_SHARE, issuer_end_s))


def merged(*ledgers: Granted) -> dict[str, int]:
    """Of several records, the latest of each issuer: nobody's grants are forgotten."""
    together: dict[str, int] = {}
    for ledger in ledgers:
        for issuer, not_after_s in ledger.items():
            together[issuer] = max(not_after_s, together.get(issuer, 0))
    return dict(sorted(together.items()))


def out_of_use(granted: Granted, issuer: str, now_s: float) -> bool:
    """Whether nothing that this issuer signed can still be valid. An issuer without a record never signed."""
    return granted.get(issuer, 0) < now_s

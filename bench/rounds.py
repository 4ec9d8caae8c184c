"""How often each change is made in a run, and the units that figures are given in."""

from msgspec import Struct

SETTLE_S = 1.0
"""After all are configured: the last status lines go out."""

MB, KB = 1e6, 1e3


class Rounds(Struct, frozen=True, kw_only=True):
    """How often each change is made."""

    endpoints: int
    policies: int

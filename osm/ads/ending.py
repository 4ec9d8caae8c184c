"""How a stream ends: in a word to count by, and in a sentence for its peer.

Separate so that every way to end has one name, whoever ends the stream. What gRPC calls it is for the conversation.
"""

from typing import Final, Literal, TypeAlias, get_args

import msgspec

Kind: TypeAlias = Literal[
    "closed",
    "cancelled",
    "aged",
    "stopping",
    "replaced",
    "expired",
    "unread",
    "silent",
    "invalid",
    "excess",
    "no_room",
    "denied",
]
"""`closed` by the proxy; `cancelled` by it or by the network, which gRPC does not tell apart; `aged` and `stopping`
send it to another replica; `replaced` by a newer stream of the same proxy; `unread`: it does not read; `silent`: it
never spoke; `excess`: it asks for more than a stream may."""

BY_THE_PROXY: Final[tuple[Kind, ...]] = ("closed", "cancelled")
"""Nobody is left to be told of it."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a stream ended; `reason` is a sentence that its peer gets."""

    kind: Kind
    reason: str


CANCELLED: Final = Ending(kind="cancelled", reason="the proxy cancelled the stream, or its connection broke")

"""The interface of the ledger: what each issuer has granted, kept for all replicas in a folder or a cluster.

Raised before a signature leaves; the decision how far is `rotation`'s.
"""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from services.certmgr.rotation import Granted

_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(dict[str, int])


class BadLedger(Exception):
    """The record is there and cannot be read; the message names it."""


class LedgerUnavailable(Exception):
    """The record cannot be written now and may later."""


class Ledger(Protocol):
    """What was granted, as one process knows it: never more than what is kept."""

    @property
    def granted(self) -> Mapping[str, int]: ...

    async def record(self, issuer: str, not_after_s: int) -> None:
        """Return once it is kept that `issuer` has granted until `not_after_s`.

        Raises BadLedger, LedgerUnavailable, OSError.
        """


def written(granted: Granted) -> bytes:
    return _encoder.encode(granted) + b"\n"


def read(body: bytes | str, place: str) -> Granted:
    """Raises BadLedger, which names `place`."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BadLedger(f"{place}: not a record of issuers and times: {error}") from error

"""The signature of a message in a bucket: made by the bucket's owner over content and place, checked by readers. Pure.

NATS checks what a client publishes, not where the server delivers on its behalf: an acknowledgement goes to any reply
subject, a consumer or a republishing stream to any target, another's bucket included. So a subject proves nothing.
A signature is good for one place alone, a sequence of one making of one stream: a copy elsewhere is worth nothing,
and a place is written once. Deletions are signed like values. The trace context is not: nothing is decided by it.

Writes under way together share one signature, over the root of a tree of their hashes, and each carries the hashes
beside its way up: a signature costs a hundred times what a hash does. It refuses to know keys and connections.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import NamedTuple

import msgspec

VERSION = b"osm bus 1\n"
"""Begins all that is signed, so that a key's signature for anything else is none here."""

LEAF, NODE = b"\0", b"\1"
"""Begin what is hashed, so that no message can pose as a branch (RFC 6962, section 2.1)."""

PAD = bytes(32)
"""Fills the tree to a power of two; no hash of anything known."""

HASH_BYTES = 32
SIGNATURE_BYTES = 64
MOST_LEVELS = 16
"""A window of 65,536 writes; ours are of 256."""


MOST_KNOWN = 65_536
"""Good signatures that are remembered, 140 bytes each; a mesh of 5,000 workloads has some 10,000 documents."""


class Claim(NamedTuple):
    """What a signature says: this writer put this body (None: deleted this key) at this place.

    `created` is when the bucket's stream was made, as the server tells it: after a loss, sequences begin anew.
    """

    bucket: str
    created: str
    revision: int
    key: str
    writer: str
    body: bytes | None


Sign = Callable[[bytes], bytes]
Verify = Callable[[bytes, bytes], bool]
"""Whether (signature, signed) is good by a key of the bucket's owner."""


def prove(sign: Sign, claims: Sequence[Claim]) -> list[str]:
    """One proof for each claim, in order, all by one signature."""
    levels = [[_leaf(claim) for claim in claims]]
    while len(levels[-1]) > 1:
        below = levels[-1]
        if len(below) % 2:
            below.append(PAD)
        levels.append([_node(below[at], below[at + 1]) for at in range(0, len(below), 2)])
    signature = sign(VERSION + levels[-1][0])
    return [_write(index, signature, levels) for index in range(len(claims))]


class SignatureCheck:
    """Checks the messages of one bucket. It remembers good signatures: neighbours share them, and a bucket that is
    read again, as by everyone after a restart of the server, costs hashes only.
    """

    def __init__(self, verify: Verify) -> None:
        self._verify = verify
        self._known: set[bytes] = set()

    def doubt(self, claim: Claim, proof: str) -> str:
        """Why the claim is not believed; empty if it is."""
        if not proof:
            return "it is not signed"
        index, _, text = proof.partition(".")
        try:
            body = base64.b64decode(text, validate=True)
            at = int(index)
        except (binascii.Error, ValueError):
            return "its signature is not well-formed"
        signature, path = body[:SIGNATURE_BYTES], body[SIGNATURE_BYTES:]
        levels, rest = divmod(len(path), HASH_BYTES)
        if rest or levels > MOST_LEVELS or not 0 <= at < 1 << levels:
            return "its signature is not well-formed"
        signed = VERSION + _root(_leaf(claim), at, path)
        if signature + signed in self._known:
            return ""
        if not self._verify(signature, signed):
            return f"its signature is not {claim.bucket}'s for this key, body and place"
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known.add(signature + signed)
        return ""


def _leaf(claim: Claim) -> bytes:
    """The head is one line of JSON, so where the body begins is never in doubt."""
    head = msgspec.json.encode((*claim[:-1], claim.body is None))
    return sha256(LEAF + head + b"\n" + (claim.body or b"")).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(NODE + left + right).digest()


def _root(leaf: bytes, index: int, path: bytes) -> bytes:
    for at in range(0, len(path), HASH_BYTES):
        beside = path[at : at + HASH_BYTES]
        leaf = _node(beside, leaf) if index & 1 else _node(leaf, beside)
        index >>= 1
    return leaf


def _write(index: int, signature: bytes, levels: Sequence[Sequence[bytes]]) -> str:
    beside = [level[(index >> height) ^ 1] for height, level in enumerate(levels[:-1])]
    return f"{index}.{base64.b64encode(b''.join((signature, *beside))).decode()}"

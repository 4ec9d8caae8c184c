"""JSON of an API server → objects, however deep somebody has nested it. Pure.

Apart from what is read, because of one thing that every reader must bear: who may write any object may write its
`managedFields`, thousands of levels deep, and the server keeps and serves them. A decoder that gives up there would
end every follower of that kind, again and again. What is as deep as that is nothing that we read.
"""

import re
from typing import Final, TypeVar

import msgspec
from msgspec import Raw

T = TypeVar("T")

DEEPEST: Final = 200
"""Levels that are read; the schemas of Kubernetes' own kinds and of ours have some twenty."""

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)
_OPENING, _CLOSING = b"[{", b"]}"


def decode(text: bytes | Raw, kind: type[T]) -> T:
    """Raises msgspec.MsgspecError, and nothing else."""
    try:
        return msgspec.json.decode(text, type=kind)
    except RecursionError:
        return msgspec.json.decode(shallow(bytes(text)), type=kind)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(f"expected UTF-8: {error}") from error


def shallow(text: bytes) -> bytes:
    """The same JSON, with null in place of what is nested deeper than `DEEPEST` levels."""
    kept: list[bytes] = []
    depth = start = 0
    for token in _TOKEN.finditer(text):
        first = text[token.start()]
        if first in _OPENING:
            depth += 1
            if depth == DEEPEST + 1:
                kept += (text[start : token.start()], b"null")
        elif first in _CLOSING:
            if depth == DEEPEST + 1:
                start = token.end()
            depth -= 1
    return b"".join((*kept, text[start:] if depth <= DEEPEST else b""))

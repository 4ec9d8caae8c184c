"""What can go wrong between us and an API server, each with a sentence that says what was asked. Pure."""

from typing import Final

import msgspec
from msgspec import Struct


class NoCluster(Exception):
    """Nothing says where an API server is; the message says what to set."""


class ApiError(Exception):
    """The API server said no, or nothing. `status` is HTTP's, 0 if there was no answer; `reason` is Kubernetes' word.

    `AlreadyExists` and `Conflict` are both `Conflict`s: `reason` tells them apart.
    """

    def __init__(self, sentence: str, *, status: int, reason: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.reason = reason


class NotFound(ApiError):
    """404: no such object, or no such kind."""


class Conflict(ApiError):
    """409: it exists already, or it has changed since it was read."""


class Forbidden(ApiError):
    """401 or 403: we may not do that, or an admission webhook says so."""


class Invalid(ApiError):
    """400 or 422: the object is not one."""


class Gone(ApiError):
    """410: that version is no longer known; list again."""


class Busy(ApiError):
    """429, or 500 and 502 to 504, which is also what stands before a server that restarts: not now."""


class Unreachable(ApiError):
    """No answer: the server is away, or what is there is not it."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, status=0, reason="Unreachable")


_KINDS: Final = {
    400: Invalid,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: Busy,
    500: Busy,
    502: Busy,
    503: Busy,
    504: Busy,
}

MOST_WORDS = 300
"""Of a body that is no Status: a proxy's error page says enough in its first lines."""


class Status(Struct, frozen=True):
    """Kubernetes' own account of a failure (meta/v1 Status)."""

    code: int = 0
    reason: str = ""
    message: str = ""


def refusal(asked: str, status: int, body: bytes) -> ApiError:
    """The error that an answer with `status` is; `asked` says what for, such as `get pods shop/web`."""
    try:
        said = msgspec.json.decode(body, type=Status)
    except msgspec.MsgspecError:
        said = Status(message=body[:MOST_WORDS].decode(errors="replace").strip())
    kind = _KINDS.get(status, ApiError)
    message = said.message or said.reason or f"HTTP status {status}"
    return kind(f"{asked}: {message}", status=status, reason=said.reason or str(status))

"""The reason why a server did not answer, in words for a person: an error in, a phrase out."""

import os
import re
import socket
import ssl

_OF_THE_CLIENT = re.compile(r" ssl:(?:<[^>]*>|\w+)")
"""Which TLS context the HTTP client took; it says so in every error."""


def why(error: Exception) -> str:
    """The system's word for what the HTTP client raised, without the client's own objects."""
    cause = getattr(error, "os_error", error)
    if isinstance(cause, socket.gaierror):
        return str(cause.strerror).lower()
    if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError) and cause.errno:
        return os.strerror(cause.errno).lower()
    if isinstance(error, TimeoutError):
        return "none in time"
    return _OF_THE_CLIENT.sub("", str(error)) or type(error).__name__

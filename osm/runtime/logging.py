"""Structured logs on stderr: JSON for machines, coloured lines on a terminal, and never a private key.

The event is a constant phrase, data are fields. Libraries that use the standard `logging` come out the same way.
Separate because it is the one piece of state that a process has only one of: set up by `set_up`, not at import.
"""

import logging
import re
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

NOISY = ("aiohttp.access", "asyncio", "grpc", "nats", "opentelemetry", "urllib3", "watchfiles")
"""Libraries whose INFO an operator does not want on a quiet day."""

_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"(?:[^\"]*?-----END [A-Z ]*PRIVATE KEY-----|(?:[A-Za-z0-9+/=\s]|\\+[nrt])*)"
)
"""A whole key, or the start of one that was cut off: then as far as it can be base64, line ends escaped or not."""

WITHHELD = "[a private key was withheld from this log line]"


def set_up(level: str, *, stream: TextIO | None = None, as_json: bool | None = None) -> None:
    """Once per process; again replaces what was before. `as_json` follows the terminal unless it is given."""
    out = stream or sys.stderr
    lines = not out.isatty() if as_json is None else as_json
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(_number(level)),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(lines, out)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_number(level))
    for name in NOISY:
        logging.getLogger(name).setLevel(max(_number(level), logging.WARNING))


def withhold_keys(_logger: WrappedLogger, _method: str, rendered: str) -> str:
    """The last step, on the finished line, so that nothing slips through nested values, reprs or tracebacks."""
    return _PRIVATE_KEY.sub(WITHHELD, rendered) if "PRIVATE KEY" in rendered else rendered


def _rendering(lines: bool, out: TextIO) -> list[Processor]:  # noqa: FBT001  # private, one caller
    if lines:
        return [
            structlog.processors.format_exc_info,
            _event_first,
            structlog.processors.JSONRenderer(default=str),
            withhold_keys,  # type: ignore[list-item]  # after the renderer the event is its line
        ]
    plain = structlog.dev.plain_traceback  # the pretty ones show local variables, and those hold secrets
    console = structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=plain)
    return [console, withhold_keys]  # type: ignore[list-item]  # as above


def _event_first(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    first = ("timestamp", "level", "event")
    return {name: event[name] for name in (*first, *event) if name in event}


def _number(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]

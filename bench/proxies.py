"""What the program that plays the proxies (bench/go/proxies) says and answers.

    proxies FOLDER TARGET STREAMS

It takes its proxies from the passports in FOLDER, says `Configured`, and is asked for the rest. `bench.proxy` is a
proxy in Python: a thousand of those take as much of the machine as the server that is measured.
"""

from msgspec import Struct


class Configured(Struct, frozen=True, kw_only=True):
    """Every stream has all that it asked for. Monotonic seconds, the same clock in all processes."""

    began_s: float
    done_s: float


class Cpu(Struct, frozen=True, kw_only=True):
    """Processor time of the process so far, threads included."""

    cpu_s: float


class Received(Struct, frozen=True, kw_only=True):
    """By all streams together, so far."""

    pushes: int
    bytes: int


class Answered(Struct, frozen=True, kw_only=True):
    """Every stream has acknowledged what was sought; monotonic seconds of the last one."""

    answered_s: float
    pushes: int
    bytes: int

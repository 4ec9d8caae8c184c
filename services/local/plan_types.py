"""The types of a plan: one value a workload, complete enough to start it. Pure.

Apart from `plan`, which makes these from manifests, because everything that runs processes speaks of them alone.
"""

import hashlib

import msgspec
from msgspec import Struct

from osm.contracts.endpoints import LocalWorkload
from osm.contracts.names import Address, ObjectRef


class Check(Struct, frozen=True, kw_only=True):
    """How to see that a program is ready. `path` None: a connection is enough; else a GET that answers 2xx or 3xx.

    `once`: having been ready is enough, there is no probe that could say otherwise later.
    """

    address: Address
    path: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    delay_s: float = 0.0
    period_s: float = 10.0
    timeout_s: float = 1.0
    successes: int = 1
    failures: int = 3
    once: bool = False


class Program(Struct, frozen=True, kw_only=True):
    """One container as a process. `field` is its place in the manifest; without a `check`, running is ready."""

    name: str
    argv: tuple[str, ...]
    own: tuple[tuple[str, str], ...]
    platform: tuple[tuple[str, str], ...]
    listens: tuple[Address, ...]
    check: Check | None
    field: str


class Planned(Struct, frozen=True, kw_only=True):
    """A workload that must run. `document` is what it is to others, as long as it is not ready."""

    ref: ObjectRef
    document: LocalWorkload
    programs: tuple[Program, ...]
    grace_s: float

    @property
    def listens(self) -> tuple[Address, ...]:
        """Where its programs listen, sorted."""
        return tuple(sorted({each for program in self.programs for each in program.listens}))

    @property
    def id(self) -> str:
        return self.document.id

    @property
    def fingerprint(self) -> str:
        """Equal while nothing has changed that the running processes would have to be replaced for.

        What the platform tells of upstreams is left out: a new Service restarts only those whose manifest
        refers to it.
        """
        programs = tuple(msgspec.structs.replace(program, platform=()) for program in self.programs)
        body = msgspec.json.encode(msgspec.structs.replace(self, programs=programs), order="deterministic")
        return hashlib.sha256(body).hexdigest()

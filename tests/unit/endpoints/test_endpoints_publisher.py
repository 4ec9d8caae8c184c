import pytest

from osm.bus.memory import MemoryCore
from osm.contracts.channels import OBJECT_STATUS
from osm.contracts.names import ObjectRef
from osm.contracts.problem import Problem
from osm.contracts.status import ObjectStatus
from services.endpoints.diff import Change
from services.endpoints.publisher import Publisher


def line(name, what):
    ref = ObjectRef("Service", "town", name)
    return ObjectStatus(subject=ref, problems=(Problem(subject=ref, what=what),))


def key(name):
    return OBJECT_STATUS.key("endpoints", "Service", "town", name)


class Done(Exception):
    """Nothing more will change."""


class Said:
    """A source that has two verdicts to tell, once."""

    inputs = ()
    documents = {}
    certain = True

    def __init__(self):
        self.lines = {key("a"): line("a", "x" * 2000), key("b"): line("b", "short")}

    def take(self):
        return Change(puts={})

    def unsure(self, held):
        return ()

    def report(self, revision):
        lines, self.lines = self.lines, {}
        return lines

    async def change(self):
        raise Done


async def test_a_verdict_that_cannot_be_written_keeps_none_of_the_others_back():
    core = MemoryCore(max_bytes=1000)
    bus = core.bus("endpoints")
    async with bus.writer("endpoints") as writer:
        publisher = Publisher(bus, writer, Said(), "one")
        with pytest.raises(Done):
            await publisher.serve()
    assert sorted(core.buckets["status"].bodies) == [key("b"), "progress.endpoints.one"]

"""Writes decisions to bucket `catalog`: the first time as its whole content, then as changes.

Apart from `app`, since writing has a case of its own: a document too large for the bus. What still holds of its
last good form stays (`last_good`), its object gets a problem, and everything else goes out.
"""

from collections.abc import Mapping

from msgspec import Struct

from osm.bus import TooLarge, Writer
from osm.contracts.catalog import MeshService, Policy
from osm.contracts.codec import Undecodable, decode, encode
from osm.contracts.names import ObjectRef
from osm.contracts.problem import Problem
from services.catalog.last_good import narrowed_policy, narrowed_service
from services.catalog.reference_lookup import account
from services.catalog.reference_lookup import service as service_ref
from services.catalog.state import Changes


class Publisher:
    """`revision` is the bucket's after the last write; `too_large` the problems of documents that do not fit."""

    def __init__(self, writer: Writer) -> None:
        self.revision = 0
        self.too_large: dict[str, Problem] = {}
        self._writer = writer
        self._published = False

    async def write(self, changes: Changes) -> frozenset[ObjectRef | None]:
        """Returns the objects that have a document too large for the bus since now, or no longer.

        Raises LeadershipLost or BusError.
        """
        puts = dict(changes.puts)
        left_out: dict[str, Problem] = {}
        while True:
            try:
                await self._put(puts, changes.deletes)
                break
            except TooLarge as error:
                # The limit is one of size: if any document is over it, the largest is.
                key = max(puts, key=lambda each: len(encode(puts[each])))
                document = puts.pop(key)
                if key not in left_out and (holds := self._still_holds(key, document)) is not None:
                    puts[key] = holds
                left_out[key] = _too_large(document, error)
        fitting = [key for key in (*puts, *changes.deletes) if key not in left_out]
        fits = [self.too_large.pop(key) for key in fitting if key in self.too_large]
        self.too_large |= left_out
        return frozenset(problem.subject for problem in (*fits, *left_out.values()))

    def _still_holds(self, key: str, document: Struct) -> Struct | None:
        """What of the form in the bucket, of this run or an earlier one, the newest form holds too."""
        body = self._writer.held().get(key)
        try:
            match document:
                case Policy() if body:
                    return narrowed_policy(decode(Policy, body), document)
                case MeshService() if body:
                    return narrowed_service(decode(MeshService, body), document)
        except Undecodable:
            return None
        return None

    async def _put(self, puts: Mapping[str, Struct], deletes: tuple[str, ...]) -> None:
        if not self._published:
            self.revision = await self._writer.publish(puts)
            self._published = True
        elif puts or deletes:
            self.revision = await self._writer.apply(puts, deletes)


def _too_large(document: Struct, error: TooLarge) -> Problem:
    """Raises the error itself for a document that is nobody's in particular."""
    match document:
        case Policy(identity=identity):
            subject, advice = account(identity), "name fewer sources or matches in the targets of this account"
        case MeshService(service=service):
            subject, advice = service_ref(service.name), "back the service with fewer endpoints"
        case _:
            raise error
    return Problem(subject=subject, what=f"{error}; its last good form stays, without what was taken back; {advice}")

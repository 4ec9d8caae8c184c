"""The state of each bucket in a line: whether it is complete, who wrote it, and which readers are behind.

Pure: whole pictures and status lines in, lines out. `osm bus check` reads the bus and prints them.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from osm.bus import Document, Update
from osm.bus.rights import READERS, STATUS
from osm.contracts.channels import BUCKETS
from osm.contracts.status import Progress


class Reader(Struct, frozen=True, kw_only=True):
    """A reader that reports how far it is. `behind`: documents that it has not worked in yet."""

    service: str
    replica: str
    behind: int


class BucketState(Struct, frozen=True, kw_only=True):
    """One bucket. `size_bytes` are the documents' bodies; a bucket that is not synced has nothing else to say."""

    bucket: str
    synced: bool
    incarnation: str = ""
    writer: str = ""
    revision: int = 0
    documents: int = 0
    undecodable: int = 0
    size_bytes: int = 0
    readers: tuple[Reader, ...] = ()


def bucket_states(pictures: Mapping[str, Update], progress: Iterable[Progress]) -> list[BucketState]:
    """`pictures`: the full picture of each bucket that has one, which only a synced bucket has."""
    lines = sorted(progress, key=lambda line: (line.service, line.replica))
    return [
        _state(pictures[bucket], lines) if bucket in pictures else BucketState(bucket=bucket, synced=False)
        for bucket in sorted(BUCKETS)
    ]


def _state(picture: Update, lines: list[Progress]) -> BucketState:
    documents = [document for document in picture.documents if not document.deleted]
    newest = max(documents, key=lambda document: document.revision, default=None)
    return BucketState(
        bucket=picture.bucket,
        synced=True,
        incarnation=_once(picture.incarnation),
        writer=newest.writer if newest is not None and picture.bucket != STATUS else "",
        revision=picture.revision,
        documents=len(documents),
        undecodable=sum(bool(document.why) for document in documents),
        size_bytes=sum(len(document.body) for document in documents),
        readers=tuple(_readers(picture.bucket, documents, lines)),
    )


def _once(incarnation: str) -> str:
    """Each once: a bucket with a mark for each kind of document has as many, and all are alike if one writer made them.

    Several remain if one kind was lost and filled again alone.
    """
    return ",".join(dict.fromkeys(incarnation.split(",")))


def _readers(bucket: str, documents: list[Document], lines: list[Progress]) -> Iterable[Reader]:
    for line in lines:
        if line.service not in READERS[bucket]:
            continue
        seen = line.output if line.service == "xds" and bucket == "catalog" else dict(line.inputs).get(bucket)
        if seen is not None:
            behind = sum(document.revision > seen for document in documents)
            yield Reader(service=line.service, replica=line.replica, behind=behind)

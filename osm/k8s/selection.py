"""Which objects of a kind are asked for, how much of each is sent, and what a list of them is. Pure.

Apart from the client, which sends the question: followers hold on to theirs for as long as they live.
"""

from typing import Final

from msgspec import Raw, Struct

from osm.k8s.resource import Resource

WHOLE: Final = "application/json"
METADATA: Final = f"{WHOLE};as=PartialObjectMetadata;g=meta.k8s.io;v=v1,{WHOLE}"
METADATA_LIST: Final = f"{WHOLE};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,{WHOLE}"
"""For who reads no more of an object than `objects.Object` has: the server leaves the rest out, such as the keys of
Secrets (Kubernetes documentation, "Kubernetes API Concepts", metadata-only fetches)."""


class Selection(Struct, frozen=True, kw_only=True):
    """Which objects of a kind; of all namespaces if none is given. Selectors are written as kubectl has them."""

    what: Resource
    namespace: str = ""
    labels: str = ""
    fields: str = ""
    metadata_only: bool = False

    @property
    def query(self) -> dict[str, str]:
        found = {"labelSelector": self.labels, "fieldSelector": self.fields}
        return {name: selector for name, selector in found.items() if selector}


class Listing(Struct, frozen=True, kw_only=True):
    """All objects of a kind at one version, each as JSON."""

    items: tuple[Raw, ...]
    version: str

"""What proxies have rejected, and the last good forms that stand in for it: a picture that all replicas of xds share.

Pure. A rejection *stands* as long as some class here still wants that very version. When the last class has got
something newer it is lifted; so an equal version that comes back later is tried on a canary once more. A class whose
proxies have all left wants nothing and lifts nothing: its rejections wait for its return, or for `KEPT_S` to pass.

Every replica reads the whole bucket and adds what its own proxies reject. What one has lifted while it still stands
with another, the other puts again.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b

from msgspec import Struct, json, structs

from osm.ads.references import unpack_body
from osm.ads.resource import Resource
from osm.bus import Update
from osm.contracts.channels import GOOD, REJECTED
from osm.contracts.names import ObjectRef
from osm.contracts.quarantine import GoodResource, RejectedResource
from services.xds.classes import ProxyClass
from services.xds.fallback import stand_in

KEPT_S = 24 * 3600.0
"""How long a rejection is remembered for a class that has no proxies: a Deployment may be scaled to zero over night."""

Version = tuple[str, str, str]
"""Type URL, name, version."""


class Changes(Struct, frozen=True, kw_only=True):
    """What the bucket has yet to be told."""

    puts: Mapping[str, Struct]
    deletes: tuple[str, ...]


class Quarantine:
    """The verdicts that rollouts ask for, and the documents that outlive a restart."""

    def __init__(self, unsaved: Callable[[], None]) -> None:
        """`unsaved` is called when there is something to write to the bucket."""
        self._tell_unsaved = unsaved
        self._documents: dict[str, RejectedResource | GoodResource] = {}
        self._rejected: dict[Version, str] = {}
        self._stands: dict[str, dict[str, tuple[ObjectRef, ...]]] = {}  # class → key → what makes it there now
        self._unwanted_since: dict[str, float] = {}
        self._unsaved: dict[str, None] = {}
        self._lifted: dict[str, None] = {}

    # What rollouts ask

    def is_rejected(self, resource: Resource) -> bool:
        return bool(self._rejected) and _version(resource) in self._rejected

    def older(self, good: Resource, newest: Resource | None) -> Resource | None:
        return stand_in(good, newest, self.is_rejected)

    def good_of(self, proxy_class: ProxyClass) -> tuple[Resource, ...]:
        """What stands in for rejected resources of a class, as a replica has left it."""
        part = class_hash(proxy_class)
        return tuple(
            Resource.of(
                document.name,
                unpack_body(document.body),
                companions=document.companions,
                origins=document.origins,
            )
            for key, document in sorted(self._documents.items())
            if isinstance(document, GoodResource) and (GOOD.parse(key) or ("",))[0] == part
        )

    # What happens

    def reject(self, resource: Resource, good: Resource | None, *, reason: str, proxy_id: str, now_s: float) -> None:
        """From now on this version goes to nobody who has not accepted it.

        If objects have joined in making it since the last good one, it is one of those that is told.
        """
        joined = frozenset(resource.origins) - frozenset(good.origins if good else ())
        origins = tuple(ref for ref in _objects(resource) if not joined or ref in joined)
        document = RejectedResource(
            type_url=resource.type_url,
            name=resource.name,
            version=resource.version,
            reason=reason,
            origins=origins,
            proxy_id=proxy_id,
            at_s=now_s,
        )
        self._say(_rejected_key(_version(resource)), document)

    def stand(
        self,
        proxy_class: ProxyClass,
        wanted: Callable[[str, str], Resource | None],
        fallbacks: Callable[[], Iterable[Resource]],
        *,
        now_s: float,
    ) -> None:
        """What a class wants now, and what stands in where that is rejected: the rest of its documents is lifted."""
        if not self._rejected and not self._stands:
            return
        part = class_hash(proxy_class)
        before = self._stands.pop(part, {})
        stands = {
            key: _objects(newest)
            for (type_url, name, version), key in self._rejected.items()
            if (newest := wanted(type_url, name)) is not None and newest.version == version
        }
        if stands:
            for good in fallbacks():
                key = GOOD.key(part, _hash(_version(good)))
                stands[key] = ()
                if key not in self._documents:
                    self._say(key, _document(good, now_s))
        if stands:
            self._stands[part] = stands
        for key in before.keys() - stands.keys():
            if not self._stands_anywhere(key):
                self._lift(key)

    def forget(self, proxy_class: ProxyClass) -> None:
        """The class has no proxies here any more."""
        self._stands.pop(class_hash(proxy_class), None)

    def sweep(self, now_s: float) -> None:
        """Lift what no class here has wanted for `KEPT_S`; to be called now and then. `now_s`: of any monotonic clock.

        This process must have seen that itself: when it starts, no proxy is back yet that might need the last good
        form, and how old a rejection is says nothing of that.
        """
        unwanted = [key for key in sorted(self._documents) if not self._stands_anywhere(key)]
        self._unwanted_since = {key: self._unwanted_since.get(key, now_s) for key in unwanted}
        for key, since_s in self._unwanted_since.items():
            if now_s - since_s > KEPT_S:
                self._lift(key)

    # What others have put, and what they have yet to be told

    def apply(self, update: Update) -> frozenset[Version]:
        """Take an update of the bucket in; the versions whose rejection is new or lifted."""
        before = frozenset(self._rejected)
        if update.full:
            here = {document.key for document in update.documents}
            for key in [key for key in self._documents if key not in here]:
                self._gone(key)
        for document in update.documents:
            if document.deleted:
                self._gone(document.key)
            elif isinstance(document.value, RejectedResource | GoodResource) and document.key not in self._lifted:
                self._learn(document.key, document.value)
        return before ^ frozenset(self._rejected)

    def changes(self, held: Iterable[str]) -> Changes:
        """What to write to a bucket that holds these keys. What is there already stays as it is."""
        there = frozenset(held)
        return Changes(
            puts={key: self._documents[key] for key in sorted(self._unsaved) if key not in there},
            deletes=tuple(sorted(self._lifted.keys() & there)),
        )

    def settle(self, held: Iterable[str]) -> None:
        """The bucket holds these keys now."""
        there = frozenset(held)
        self._unsaved = {key: None for key in self._unsaved if key not in there}
        self._lifted = {key: None for key in self._lifted if key in there}

    # What is said about it

    def standing(self) -> tuple[RejectedResource, ...]:
        """The rejections that stand in a class here, sorted."""
        return self._told(self._stands.values())

    def standing_of(self, proxy_class: ProxyClass) -> tuple[RejectedResource, ...]:
        return self._told([self._stands.get(class_hash(proxy_class), {})])

    # Inside

    def _told(self, classes: Iterable[Mapping[str, tuple[ObjectRef, ...]]]) -> tuple[RejectedResource, ...]:
        """Of the objects that were accused, those that still have a part in it. Where none has (one was renamed, or
        another user asks another class for the same), all that have now."""
        found: dict[str, RejectedResource] = {}
        for key, now in (item for stands in classes for item in stands.items()):
            document = self._documents.get(key)
            if isinstance(document, RejectedResource):
                accused = set(document.origins).intersection(now) or set(now)
                accused.update(found[key].origins if key in found else ())
                found[key] = structs.replace(document, origins=tuple(sorted(accused)))
        return tuple(found[key] for key in sorted(found))

    def _say(self, key: str, document: RejectedResource | GoodResource) -> None:
        self._learn(key, document)
        self._unsaved[key] = None
        self._lifted.pop(key, None)
        self._tell_unsaved()

    def _lift(self, key: str) -> None:
        self._drop(key)
        self._unsaved.pop(key, None)
        self._lifted[key] = None
        self._tell_unsaved()

    def _gone(self, key: str) -> None:
        """Another replica has lifted it, or it is not written yet."""
        self._lifted.pop(key, None)
        if self._stands_anywhere(key):
            self._unsaved[key] = None
            self._tell_unsaved()
        elif key not in self._unsaved:
            self._drop(key)

    def _learn(self, key: str, document: RejectedResource | GoodResource) -> None:
        self._documents[key] = document
        if isinstance(document, RejectedResource):
            self._rejected[document.type_url, document.name, document.version] = key

    def _drop(self, key: str) -> None:
        document = self._documents.pop(key, None)
        if isinstance(document, RejectedResource):
            self._rejected.pop((document.type_url, document.name, document.version), None)

    def _stands_anywhere(self, key: str) -> bool:
        return any(key in stands for stands in self._stands.values())


@lru_cache(maxsize=4096)
def class_hash(proxy_class: ProxyClass) -> str:
    """How a class is called in keys: equal on every replica."""
    return blake2b(json.encode(proxy_class, order="deterministic"), digest_size=8).hexdigest()


def _document(good: Resource, now_s: float) -> GoodResource:
    return GoodResource(
        type_url=good.type_url,
        name=good.name,
        version=good.version,
        body=good.body,
        companions=good.companions,
        origins=_objects(good),
        at_s=now_s,
    )


def _objects(resource: Resource) -> tuple[ObjectRef, ...]:
    """The users' objects that it was made from."""
    return tuple(sorted(ref for ref in resource.origins if isinstance(ref, ObjectRef)))


def _version(resource: Resource) -> Version:
    return resource.type_url, resource.name, resource.version


def _rejected_key(version: Version) -> str:
    return REJECTED.key(_hash(version))


def _hash(version: Version) -> str:
    return blake2b("\0".join(version).encode(), digest_size=16).hexdigest()

"""The state of certmgr: who is in the mesh, and which roots the mesh trusts."""

from osm.bus import Document, Update
from osm.contracts.channels import BUNDLE, IDENTITY
from osm.contracts.names import Identity
from osm.contracts.trust import Bundle


class Picture:
    """Fed with updates of `endpoints` (identities only) and of our own bucket. Not asynchronous."""

    def __init__(self, trust_domain: str) -> None:
        self.identities: frozenset[Identity] = frozenset()
        self.roots_pem: frozenset[str] = frozenset()
        self._bundle_key = BUNDLE.key(trust_domain)
        self._unread = {IDENTITY.bucket, BUNDLE.bucket}

    @property
    def unread(self) -> tuple[str, ...]:
        """Buckets whose full picture is still missing."""
        return tuple(sorted(self._unread))

    def trusts(self, root_pem: str) -> bool:
        """Whether the published bundle holds this root."""
        return root_pem in self.roots_pem

    def apply(self, update: Update) -> None:
        self._unread.discard(update.bucket)
        if update.bucket == IDENTITY.bucket:
            self._apply_identities(update)
        elif update.bucket == BUNDLE.bucket:
            self._apply_bundle(update)

    def _apply_identities(self, update: Update) -> None:
        """A body that cannot be decoded changes nothing for its identity: the last good value stays."""
        found = {identity: document for document in update.documents if (identity := _identity(document))}
        present = {identity for identity, document in found.items() if document.value is not None}
        unclear = {identity for identity, document in found.items() if document.value is None and not document.deleted}
        gone = found.keys() - present - unclear
        kept = self.identities & unclear if update.full else self.identities - gone
        self.identities = frozenset(kept | present)

    def _apply_bundle(self, update: Update) -> None:
        for document in update.documents:
            if document.key == self._bundle_key and isinstance(document.value, Bundle):
                self.roots_pem = frozenset(document.value.roots_pem)


def _identity(document: Document) -> Identity | None:
    parts = IDENTITY.parse(document.key)
    return Identity(*parts) if parts else None

"""Who may have written what: each service's own Ed25519 key, and the public keys of all owners of buckets.

The one module of the bus that knows the cryptography; what a signature says is in `nats_signature`. Keys are files: a
mesh's folder of them is made once by whoever sets it up (`osm bus keys`), and each service gets its own key and the
list, which is public.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from osm.bus import BusError, rights
from osm.bus.nats_settings import NatsSettings, require_private
from osm.bus.nats_signature import Claim, SignatureCheck, prove

WRITERS = "writers.json"
"""The list: service → its public keys (raw, base64). More than one while a key is replaced."""

OWNERS: tuple[str, ...] = tuple(name for name in rights.SERVICES if rights.may_write(name, name))
"""The services with a bucket, and so with a key."""

PublicKeys = Mapping[str, tuple[Ed25519PublicKey, ...]]


class Keys:
    """One service's key, if it has one, and everyone's public ones. Of a bus without signatures: neither."""

    def __init__(self, own: Ed25519PrivateKey | None = None, writers: PublicKeys | None = None) -> None:
        self._own = own
        self._writers = writers
        self._doubters: dict[str, SignatureCheck] = {}

    def prove(self, claims: list[Claim]) -> list[str]:
        """A proof each; empty on a bus without signatures."""
        return prove(self._own.sign, claims) if self._own and claims else [""] * len(claims)

    def doubter(self, bucket: str) -> SignatureCheck | None:
        """None where nothing is signed: `status`, which has no owner, and a bus without signatures."""
        if self._writers is None or bucket == rights.STATUS:
            return None
        owners = self._writers.get(bucket, ())
        return self._doubters.setdefault(
            bucket, SignatureCheck(lambda signature, signed: any(_is_good(key, signature, signed) for key in owners))
        )


def load(name: str, settings: NatsSettings) -> Keys:
    """The keys of the service or user `name`. Raises BusError: without keys, unless that is asked for, nothing runs."""
    if settings.unsigned:
        return Keys()
    if not settings.writers_file:
        raise BusError(
            "OSM_NATS_WRITERS_FILE: missing, so nobody could tell who wrote what; `osm bus keys -o FOLDER` makes it, "
            "and OSM_NATS_UNSIGNED=true does without, on a server that nobody else reaches"
        )
    writers = _read_writers(settings.writers_file)
    if name not in OWNERS:
        return Keys(None, writers)
    if not settings.signing_key_file:
        raise BusError(f"OSM_NATS_SIGNING_KEY_FILE: missing, {name} has to sign what it writes (`osm bus keys`)")
    own = _read_key(settings.signing_key_file)
    if not any(own.public_key() == key for key in writers.get(name, ())):
        raise BusError(f"file {settings.signing_key_file}: not the key that {settings.writers_file} has for {name}")
    return Keys(own, writers)


def make_keys(folder: Path) -> Path:
    """A key for each service, mode 0600, and the list of the public ones, whose path is returned.

    Keys that are there are kept, so that a service new to a mesh gets one and the others keep theirs.
    Raises OSError, or BusError for a file that is no key.
    """
    public = {}
    for name in OWNERS:
        file = folder / f"{name}.key"
        if not file.exists():
            _write_key(file)
        public[name] = (_read_key(str(file)).public_key().public_bytes_raw(),)
    writers = folder / WRITERS
    draft = folder / f".{WRITERS}"
    draft.write_bytes(list_writers(public))
    return draft.replace(writers)


def make_key() -> bytes:
    """A new key, in PEM: a secret."""
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_half(pem: bytes, where: str) -> bytes:
    """What the list of writers says of the key. Raises BusError, which calls the key by `where` it is."""
    return _parse_key(pem, where).public_key().public_bytes_raw()


def list_writers(public: Mapping[str, tuple[bytes, ...]]) -> bytes:
    """The list's text: service → its public keys."""
    return msgspec.json.format(msgspec.json.encode(public, order="sorted")) + b"\n"


def variables(folder: Path, user: str) -> dict[str, str]:
    """What makes the piece that connects as `user` take its keys from such a folder."""
    return {"OSM_NATS_WRITERS_FILE": str(folder / WRITERS), "OSM_NATS_SIGNING_KEY_FILE": str(folder / f"{user}.key")}


def _write_key(file: Path) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(make_key())


def _read_key(path: str) -> Ed25519PrivateKey:
    require_private(path)
    return _parse_key(Path(path).read_bytes(), f"file {path}")


def _parse_key(pem: bytes, where: str) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        key = None  # the words of the library may quote the file
    if not isinstance(key, Ed25519PrivateKey):
        raise BusError(f"{where}: expected an Ed25519 private key in PEM, without a password")
    return key


def _read_writers(path: str) -> PublicKeys:
    try:
        listed = msgspec.json.decode(Path(path).read_bytes(), type=dict[str, tuple[bytes, ...]])
        writers = {name: tuple(map(Ed25519PublicKey.from_public_bytes, keys)) for name, keys in listed.items()}
    except OSError as error:
        raise BusError(f"file {path}: {error.strerror}") from error
    except ValueError as error:  # msgspec's are among them
        raise BusError(f"file {path}: expected services and their public keys: {error}") from error
    if missing := sorted(set(OWNERS) - writers.keys()):
        raise BusError(f"file {path}: has no key for {', '.join(missing)}")
    return writers


def _is_good(key: Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True

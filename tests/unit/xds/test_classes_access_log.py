"""Which class of proxies logs how, and which is built anew when a Telemetry changes."""

import json
from hashlib import blake2b

from msgspec import Struct, structs

from osm.ads.references import message_of
from osm.ads.types import LISTENER
from osm.bus import Document, Update
from osm.contracts.channels import ACCESS_LOG, MESH
from osm.contracts.endpoints import Explicit, Workload
from osm.contracts.names import Address, Identity, ObjectRef
from osm.contracts.policy import Mesh
from osm.contracts.telemetry import AccessLog, LogTerms, TextFormat
from services.xds.classes import Classes, Configuration, ProxyClass
from services.xds.documents import Documents
from services.xds.quarantine import class_hash

OWN, OF_MESH = ObjectRef("Telemetry", "shop", "own"), ObjectRef("Telemetry", "osm-system", "all")
PLAIN = Workload(
    proxy_id="b-0",
    identity=Identity("shop", "buyer"),
    interception=Explicit(http_proxy=Address("127.66.0.3", 15001), outbound_host="127.66.0.3"),
)
CHOSEN = structs.replace(PLAIN, telemetry=OWN)


def update(documents: dict[str, Struct | None]) -> Update:
    said = (
        Document(bucket="catalog", key=key, value=value, revision=1, deleted=value is None)
        for key, value in documents.items()
    )
    return Update(bucket="catalog", full=False, revision=1, documents=tuple(said))


def log(origin: ObjectRef, line: str) -> dict[str, Struct | None]:
    terms = LogTerms(format=TextFormat(line=f"line-{line}"))
    return {ACCESS_LOG.key(origin.namespace, origin.name): AccessLog(origin=origin, terms=terms)}


def gone(origin: ObjectRef) -> dict[str, Struct | None]:
    return {ACCESS_LOG.key(origin.namespace, origin.name): None}


class Mine:
    """Two classes: one that logs by a Telemetry of its own, one by the mesh's."""

    def __init__(self) -> None:
        self.documents = Documents()
        self.classes = Classes("cluster.local", self.documents)
        self.own, self.others = self.classes.of(CHOSEN), self.classes.of(PLAIN)
        self.take({MESH.key(): Mesh(telemetry=OF_MESH), **log(OWN, "own"), **log(OF_MESH, "all")})
        for each in (self.own, self.others):
            self.classes.configuration(each)

    def take(self, documents: dict[str, Struct | None]) -> dict[ProxyClass, Configuration]:
        return self.classes.rebuild(self.documents.apply(update(documents)))

    def line(self, proxy_class: ProxyClass) -> str:
        (listener,) = self.classes.configuration(proxy_class).resources[LISTENER].values()
        text = str(message_of(listener))
        return next((each for each in ("own", "all", "new") if f"line-{each}" in text), "")


def test_a_class_logs_by_its_own_telemetry_else_by_the_meshs() -> None:
    mine = Mine()
    assert (mine.line(mine.own), mine.line(mine.others)) == ("own", "all")


def test_a_format_that_changes_builds_those_anew_who_log_by_it_and_moves_nobody() -> None:
    mine = Mine()
    assert mine.take(log(OWN, "new")).keys() == {mine.own}
    assert (mine.line(mine.own), mine.line(mine.others)) == ("new", "all")
    assert mine.take(log(OF_MESH, "new")).keys() == {mine.others}
    assert mine.classes.of(CHOSEN) is mine.own


def test_without_a_document_of_that_telemetry_nothing_is_logged() -> None:
    mine = Mine()
    assert mine.take(gone(OWN)).keys() == {mine.own}
    assert (mine.line(mine.own), mine.line(mine.others)) == ("", "all")


def test_the_users_format_names_its_telemetry_and_the_default_names_none() -> None:
    mine = Mine()
    (listener,) = mine.classes.configuration(mine.own).resources[LISTENER].values()
    assert listener.origins == (OWN,)
    key = ACCESS_LOG.key(OWN.namespace, OWN.name)
    mine.take({key: AccessLog(origin=OWN, terms=LogTerms())})
    (listener,) = mine.classes.configuration(mine.own).resources[LISTENER].values()
    assert listener.origins == ()
    assert "RESPONSE_CODE_DETAILS" in str(message_of(listener))


def test_a_class_without_a_telemetry_keeps_the_name_it_had_before_there_were_any() -> None:
    """What stands in for a rejected resource is kept under it, through an upgrade."""
    before = {
        "identity": {"namespace": "shop", "account": "buyer"},
        "backs": [],
        "interception": {
            "type": "explicit",
            "http_proxy": {"host": "127.66.0.3", "port": 15001},
            "outbound_host": "127.66.0.3",
        },
    }
    body = json.dumps(before, separators=(",", ":")).encode()
    assert class_hash(ProxyClass.of(PLAIN)) == blake2b(body, digest_size=8).hexdigest()
    assert class_hash(ProxyClass.of(CHOSEN)) != class_hash(ProxyClass.of(PLAIN))

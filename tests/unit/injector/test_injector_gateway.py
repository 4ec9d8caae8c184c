"""The ingress gateway's Secret: what is in it, and when it is written again."""

import pytest
from msgspec import convert, structs

from osm.contracts.policy import IngressGateway
from osm.contracts.trust import Chain
from osm.k8s.objects import ObjectMeta
from services.injector.gateway import due_s, kept_gateway, remembered_gateway, selector, strays, written
from services.injector.secret import Certificate

ASKED = IngressGateway(
    dns_names=("a.edge.cluster.local", "b.example.com"), lifetime_s=3600, namespace="edge", name="client-cert"
)
CERTIFICATE = Certificate(
    key_pem="KEY", chain=Chain(chain_pem="CHAIN", issuer="i", not_before_s=1000, not_after_s=4600)
)


def test_it_is_a_tls_secret_with_the_roots_beside() -> None:
    body = written(ASKED, CERTIFICATE, "ROOTS", "osm")
    assert body["type"] == "kubernetes.io/tls"
    assert body["stringData"] == {"ca.crt": "ROOTS", "tls.crt": "CHAIN", "tls.key": "KEY"}
    assert (body["metadata"]["namespace"], body["metadata"]["name"]) == ("edge", "client-cert")
    for term in selector("osm").split(","):
        key, _, value = term.partition("=")
        assert body["metadata"]["labels"][key] == (value or "true")


def test_what_is_written_is_what_is_read_again() -> None:
    meta = convert(written(ASKED, CERTIFICATE, "ROOTS", "osm")["metadata"], ObjectMeta)
    assert kept_gateway(meta) == remembered_gateway(ASKED, CERTIFICATE, "ROOTS")


def test_it_is_written_again_at_two_thirds_of_its_life() -> None:
    due = due_s(ASKED, remembered_gateway(ASKED, CERTIFICATE, "ROOTS"), "ROOTS")
    assert 1000 + 3600 * 0.6 < due < 1000 + 3600 * 0.73


@pytest.mark.parametrize(
    "other",
    [
        structs.replace(ASKED, dns_names=("a.edge.cluster.local",)),
        structs.replace(ASKED, lifetime_s=7200),
    ],
)
def test_another_certificate_is_written_at_once(other: IngressGateway) -> None:
    kept = remembered_gateway(ASKED, CERTIFICATE, "ROOTS")
    assert due_s(other, kept, "ROOTS") == 0
    assert due_s(ASKED, kept, "OTHER ROOTS") == 0
    assert due_s(ASKED, None, "ROOTS") == 0


def test_annotations_that_somebody_wrote_are_long_past() -> None:
    kept = kept_gateway(ObjectMeta(annotations={"openservicemesh.io/certificate-not-after-s": "never"}))
    assert kept.not_after_s == 0
    assert due_s(ASKED, kept, "ROOTS") == 0


def test_what_nobody_names_any_more_is_taken_away() -> None:
    found = (("edge", "client-cert"), ("edge", "old"))
    assert strays(ASKED, found) == (("edge", "old"),)
    assert strays(None, found) == found

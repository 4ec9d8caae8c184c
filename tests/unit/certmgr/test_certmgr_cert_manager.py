"""What certmgr asks of cert-manager, and what it makes of the answers. A real one is in tests/kubernetes."""

from datetime import UTC, datetime, timedelta

import pytest

from osm.contracts.names import Identity
from osm.contracts.trust import MeshLeaf, ProxyClient
from osm.k8s.objects import Condition, ObjectMeta
from osm.pki.issuing import profile_of, request
from osm.pki.keys import make_key, read_csr
from services.certmgr.cert_manager import CertificateRequest, IssuerRef, _Status, body, is_stale, refusal, words
from services.certmgr.decide import Order
from services.certmgr.issuer import IssuerEnded, IssuerUnavailable
from services.certmgr.settings import Settings

STORE = Identity("bookstore", "bookstore")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def order(subject):
    profile = profile_of(subject, "cluster.local")
    csr = read_csr(request(make_key(), profile))
    return Order(kind="leaf", csr=csr, profile=profile, lifetime_s=3600)


def said(*conditions, **more):
    return CertificateRequest(metadata=ObjectMeta(name="osm-leaf-1", **more), status=_Status(conditions=conditions))


@pytest.mark.parametrize(
    ("subject", "usages"),
    [
        (MeshLeaf(identity=STORE), ["digital signature", "client auth", "server auth"]),
        (ProxyClient(identity=STORE, proxy_id="p"), ["digital signature", "client auth"]),
    ],
)
def test_the_order_is_spelt_out(subject, usages):
    spec = body("osm-leaf-1", order(subject), IssuerRef(name="osm-ca"))["spec"]
    assert spec["usages"] == usages
    assert spec["issuerRef"] == {"name": "osm-ca", "kind": "Issuer", "group": "cert-manager.io"}
    assert (spec["duration"], spec["isCA"]) == ("3600s", False)


@pytest.mark.parametrize(
    ("condition", "kind"),
    [
        (Condition(type="Denied", status="True", reason="Policy", message="not allowed"), IssuerEnded),
        (Condition(type="InvalidRequest", status="True", reason="Spec", message="bad"), IssuerEnded),
        (Condition(type="Ready", status="False", reason="Failed", message="its CA is away"), IssuerUnavailable),
    ],
)
def test_a_no_says_whether_to_ask_again(condition, kind):
    error = refusal(said(condition))
    assert type(error) is kind
    assert str(error).endswith(f"osm-leaf-1: {condition.type}: {condition.reason}: {condition.message}")


def test_what_is_under_way_is_no_refusal_and_has_words():
    pending = said(
        Condition(type="Approved", status="True", reason="cert-manager.io", message="approved"),
        Condition(type="Ready", status="False", reason="Pending", message="waiting for the CA"),
    )
    assert refusal(pending) is None
    assert words(pending) == "Pending: waiting for the CA"


def test_what_nobody_can_wait_for_any_more_is_stale():
    assert is_stale(said(creation_timestamp=NOW - timedelta(minutes=11)), NOW)
    assert not is_stale(said(creation_timestamp=NOW - timedelta(minutes=9)), NOW)


def test_an_issuer_has_a_name():
    with pytest.raises(ValueError, match="cert_manager_issuer: found no name or no kind"):
        Settings(provider="cert-manager", cert_manager_issuer="")

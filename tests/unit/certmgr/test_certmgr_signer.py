import pytest

from osm.bus import Document, Update
from osm.contracts.channels import BUNDLE, IDENTITY
from osm.contracts.endpoints import MeshIdentity
from osm.contracts.names import Identity
from osm.contracts.trust import Bundle, Chain, MeshLeaf, Refused, SignRequest
from osm.pki.keys import make_csr, make_key
from services.certmgr.app import rules
from services.certmgr.folder import FolderLedger
from services.certmgr.issuer import IssuerEnded, IssuerUnavailable
from services.certmgr.ledger import LedgerUnavailable
from services.certmgr.settings import Settings
from services.certmgr.signer import Signer
from services.certmgr.state import Picture

STORE = Identity("bookstore", "bookstore")
NOW_S = 1_800_000_000
REQUEST = SignRequest(csr_pem=make_csr(make_key()), subject=MeshLeaf(identity=STORE))


class Elsewhere:
    """A certificate authority that is not ours: it sees an order when, and only when, all is decided and recorded."""

    key_id = "abcd"
    root_pem = "its root"
    not_after_s = NOW_S + 10**9

    def __init__(self, ledger, error=None):
        self.ledger = ledger
        self.error = error
        self.orders = []

    def expiry_s(self, order, now_s):
        return int(now_s) + order.lifetime_s

    async def sign(self, order, now_s):
        assert self.ledger.granted[self.key_id] >= self.expiry_s(order, now_s)
        self.orders.append(order)
        if self.error:
            raise self.error
        return Chain(chain_pem="", issuer=self.key_id, not_before_s=NOW_S, not_after_s=self.expiry_s(order, now_s))


def picture(*roots_pem):
    seen = Picture("cluster.local")
    identity = Document(
        bucket="endpoints", key=IDENTITY.key("bookstore", "bookstore"), value=MeshIdentity(identity=STORE), revision=1
    )
    bundle = Bundle(trust_domain="cluster.local", roots_pem=roots_pem)
    trusted = Document(bucket="certmgr", key=BUNDLE.key("cluster.local"), value=bundle, revision=1)
    seen.apply(Update(bucket="endpoints", full=True, documents=(identity,), revision=1))
    seen.apply(Update(bucket="certmgr", full=True, documents=(trusted,), revision=1))
    return seen


async def answer(issuer, seen=None, request=REQUEST):
    signer = Signer(seen or picture("its root"), issuer, issuer.ledger, rules(Settings()), clock=lambda: NOW_S)
    return (await signer.answer("xds", request)).outcome


async def test_an_issuer_elsewhere_signs_what_was_decided_after_it_was_recorded(tmp_path):
    issuer = Elsewhere(FolderLedger(tmp_path))
    outcome = await answer(issuer)
    assert isinstance(outcome, Chain)
    (order,) = issuer.orders
    assert order.profile.uri == "spiffe://cluster.local/ns/bookstore/sa/bookstore"


async def test_a_root_that_left_the_bundle_signs_nothing(tmp_path):
    issuer = Elsewhere(FolderLedger(tmp_path))
    outcome = await answer(issuer, picture("another root"))
    assert outcome.retry
    assert "root abcd of this certmgr is not in the published bundle" in outcome.why
    assert issuer.orders == []


@pytest.mark.parametrize(
    ("error", "retry"),
    [
        (IssuerUnavailable("vault is sealed"), True),
        (IssuerEnded("the root ended"), False),
        (OSError("disk full"), True),
    ],
)
async def test_an_issuer_in_trouble_is_a_refusal_that_says_so(tmp_path, error, retry):
    outcome = await answer(Elsewhere(FolderLedger(tmp_path), error))
    assert isinstance(outcome, Refused)
    assert outcome.retry is retry
    assert str(error) in outcome.why


class Away:
    """A record that nobody can write now."""

    def __init__(self, granted):
        self.granted = granted

    async def record(self, issuer, not_after_s):
        raise LedgerUnavailable("ConfigMap osm-system/osm-ca-granted: no answer")


async def test_while_the_record_is_away_what_it_covers_is_signed_and_nothing_else():
    outcome = await answer(Elsewhere(Away({})))
    assert isinstance(outcome, Refused)
    assert outcome.retry
    assert outcome.why == "cannot sign now: ConfigMap osm-system/osm-ca-granted: no answer"
    assert isinstance(await answer(Elsewhere(Away({"abcd": NOW_S + 10**8}))), Chain)


async def test_what_is_signed_and_refused_is_counted_from_nought(tmp_path, scraped):
    issuer = Elsewhere(FolderLedger(tmp_path))
    signer = Signer(picture("its root"), issuer, issuer.ledger, rules(Settings()), clock=lambda: NOW_S)
    assert scraped("osm_certmgr_signed_total", kind="leaf") == 0
    assert scraped("osm_certmgr_refused_total", reason="caller") == 0
    await signer.answer("xds", REQUEST)
    await signer.answer("injector", REQUEST)
    issuer.error = IssuerUnavailable("away")
    await signer.answer("xds", REQUEST)
    assert scraped("osm_certmgr_signed_total", kind="leaf") == 1
    assert scraped("osm_certmgr_refused_total", reason="caller") == 1
    assert scraped("osm_certmgr_refused_total", reason="issuer") == 1
    assert scraped("osm_certmgr_sign_duration_seconds_count", kind="leaf") == 3
    assert scraped("osm_certmgr_root_not_after_seconds") == NOW_S + 10**9

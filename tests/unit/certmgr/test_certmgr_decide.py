import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from hypothesis import given
from hypothesis import strategies as st

from osm.contracts.names import INJECTOR_IDENTITY, ROOT_NAMESPACE, XDS_IDENTITY, Identity, SpiffeId
from osm.contracts.trust import ControlPlane, Gateway, MeshLeaf, ProxyClient, SignRequest
from osm.pki.issuing import profile_of, request
from osm.pki.keys import make_csr, make_key
from services.certmgr.decide import Order, Refusal, Rules, decide, is_reserved

STORE = Identity("bookstore", "bookstore-v1")
ABSENT = Identity("bookthief", "bookthief")
CSR = make_csr(make_key())
LIFETIMES_S = {"leaf": 86_400, "proxy": 7_200, "control": 3_600, "gateway": 1_800}
RULES = Rules(trust_domain="cluster.local", lifetimes_s=LIFETIMES_S, floor_s=600)

LEAF = MeshLeaf(identity=STORE)
PROXY = ProxyClient(identity=STORE, proxy_id="bookstore-v1-0.bookstore")
GATEWAY = Gateway(dns_names=("ingress-nginx.ingress-nginx.cluster.local",))
CONTROL = ControlPlane(identity=XDS_IDENTITY, dns_names=("localhost",))


def verdict(caller, subject, *, csr=CSR, lifetime_s=None, identities=frozenset({STORE}), rules=RULES):
    request = SignRequest(csr_pem=csr, subject=subject, lifetime_s=lifetime_s)
    return decide(caller, request, identities=identities, rules=rules)


@pytest.mark.parametrize(
    ("caller", "subject", "kind", "uri"),
    [
        ("xds", LEAF, "leaf", "spiffe://cluster.local/ns/bookstore/sa/bookstore-v1"),
        (
            "local",
            PROXY,
            "proxy",
            "spiffe://cluster.local/ns/bookstore/sa/bookstore-v1/proxy/bookstore-v1-0.bookstore",
        ),
        (
            "injector",
            PROXY,
            "proxy",
            "spiffe://cluster.local/ns/bookstore/sa/bookstore-v1/proxy/bookstore-v1-0.bookstore",
        ),
        ("xds", CONTROL, "control", "spiffe://cluster.local/ns/osm-system/sa/osm-xds"),
        ("injector", GATEWAY, "gateway", ""),
    ],
)
def test_each_caller_gets_what_is_its_business(caller, subject, kind, uri):
    order = verdict(caller, subject)
    assert isinstance(order, Order)
    assert (order.kind, order.profile.uri, order.lifetime_s) == (kind, uri, RULES.lifetimes_s[kind])


@pytest.mark.parametrize(
    ("caller", "subject"),
    [
        ("xds", PROXY),
        ("local", LEAF),
        ("local", CONTROL),
        ("injector", LEAF),
        ("xds", GATEWAY),
        ("local", GATEWAY),
        ("certmgr", GATEWAY),
        ("catalog", LEAF),
        ("", LEAF),
    ],
)
def test_nobody_gets_what_is_anothers_business(caller, subject):
    refusal = verdict(caller, subject)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.retry) == ("caller", False)


def test_the_sentence_says_who_asked_for_what_and_what_is_allowed():
    assert verdict("local", LEAF).why == "local asked for a leaf certificate, allowed for it is proxy"


def test_xds_may_be_nobody_else_of_the_control_plane():
    refusal = verdict("xds", ControlPlane(identity=Identity(ROOT_NAMESPACE, "osm-certmgr")))
    assert refusal.reason == "reserved"
    assert refusal.why == "xds asked to be osm-system/osm-certmgr, allowed for it is osm-system/osm-xds"


def test_the_injector_is_itself_and_nobody_else():
    assert isinstance(verdict("injector", ControlPlane(identity=INJECTOR_IDENTITY)), Order)
    assert verdict("injector", CONTROL).reason == "reserved"


def test_xds_may_not_pose_as_a_workload_by_the_control_kind():
    assert verdict("xds", ControlPlane(identity=STORE)).reason == "reserved"


@pytest.mark.parametrize(
    ("caller", "subject"),
    [
        ("xds", MeshLeaf(identity=XDS_IDENTITY)),
        ("local", ProxyClient(identity=XDS_IDENTITY, proxy_id="p")),
        ("injector", ProxyClient(identity=Identity(ROOT_NAMESPACE, "osm-anything"), proxy_id="p")),
    ],
)
def test_control_plane_identities_are_reserved_even_if_they_are_in_the_mesh(caller, subject):
    refusal = verdict(caller, subject, identities=frozenset({subject.identity}))
    assert (refusal.reason, refusal.retry) == ("reserved", False)


def test_an_ordinary_account_in_our_namespace_is_not_reserved():
    assert not is_reserved(Identity(ROOT_NAMESPACE, "prometheus"))
    assert not is_reserved(Identity("bookstore", "osm-xds"))


@pytest.mark.parametrize(("caller", "subject"), [("xds", LEAF), ("local", PROXY), ("injector", PROXY)])
def test_an_unknown_identity_may_ask_again_and_is_told_what_is_missing(caller, subject):
    refusal = verdict(caller, subject, identities=frozenset({ABSENT}))
    assert (refusal.reason, refusal.retry) == ("unknown-identity", True)
    assert "bookstore/bookstore-v1 is not in the mesh" in refusal.why
    assert refusal.reply().retry


@pytest.mark.parametrize(
    ("wanted_s", "granted_s"), [(None, 86_400), (3_600, 3_600), (10**9, 86_400), (5, 600), (600, 600)]
)
def test_a_request_may_ask_for_less_but_not_below_the_floor(wanted_s, granted_s):
    assert verdict("xds", LEAF, lifetime_s=wanted_s).lifetime_s == granted_s


@pytest.mark.parametrize("wanted_s", [0, -1])
def test_a_life_of_no_seconds_is_refused(wanted_s):
    assert verdict("xds", LEAF, lifetime_s=wanted_s).reason == "lifetime"


def test_a_bad_request_is_refused_in_its_own_words():
    refusal = verdict("xds", LEAF, csr="nonsense")
    assert refusal.reason == "csr"
    assert "PKCS #10" in refusal.why


@pytest.mark.parametrize("proxy_id", ["", "a/../b", "a/proxy/b", "a b", "ü", "a\n"])
def test_a_proxy_id_that_does_not_read_back_is_refused(proxy_id):
    assert verdict("local", ProxyClient(identity=STORE, proxy_id=proxy_id)).reason == "name"


@pytest.mark.parametrize("account", ["bookstore/proxy/other", "b?x", "B", ""])
def test_an_account_that_does_not_read_back_is_refused(account):
    strange = Identity("bookstore", account)
    assert verdict("xds", MeshLeaf(identity=strange), identities=frozenset({strange})).reason == "name"


@pytest.mark.parametrize(
    "name",
    ["localhost", "osm-xds.osm-system", "osm-xds.osm-system.svc", "osm-xds-0.osm-xds.osm-system.svc.cluster.local"],
)
def test_names_of_our_own_services_are_granted(name):
    order = verdict("xds", ControlPlane(identity=XDS_IDENTITY, dns_names=(name,)))
    assert order.profile.dns_names == (name,)


@pytest.mark.parametrize(
    "name",
    [
        "bookstore-v1.bookstore.cluster.local",
        "*.osm-system.svc",
        "osm-system",
        "example.com",
        "x.osm-system.evil",
        "",
        "localhost\n",
    ],
)
def test_names_of_others_are_refused(name):
    assert verdict("xds", ControlPlane(identity=XDS_IDENTITY, dns_names=("localhost", name))).reason == "name"


labels = st.sampled_from(["bookstore", "osm-system", "a", "a/b", "", "osm-xds", "B"])
accounts = st.sampled_from(["bookstore", "osm-xds", "osm-injector", "default", "a/proxy/b", "a.b", ""])
identities = st.builds(Identity, labels, accounts)
subjects = st.one_of(
    st.builds(MeshLeaf, identity=identities),
    st.builds(ProxyClient, identity=identities, proxy_id=st.sampled_from(["p", "p/q", "", "p.bookstore"])),
    st.builds(ControlPlane, identity=identities, dns_names=st.tuples(st.sampled_from(["localhost", "evil"]))),
)
callers = st.sampled_from(["xds", "local", "injector", "catalog", "cli", ""])


@given(caller=callers, subject=subjects, present=st.frozensets(identities), wanted_s=st.none() | st.integers(-5, 10**6))
def test_nothing_is_signed_for_absent_or_reserved_identities(caller, subject, present, wanted_s):
    order = verdict(caller, subject, identities=present, lifetime_s=wanted_s)
    if isinstance(order, Refusal):
        assert order.why
        return
    said = SpiffeId.parse(order.profile.uri)
    assert said is not None
    assert said.identity == subject.identity
    assert order.lifetime_s <= RULES.lifetimes_s[order.kind]
    if order.kind == "control":
        assert said.identity == {"xds": XDS_IDENTITY, "injector": INJECTOR_IDENTITY}[caller]
    else:
        assert said.identity in present
        assert not is_reserved(said.identity)
        assert (said.proxy_id is not None) == (order.kind == "proxy")


def test_names_are_those_of_the_namespace_that_the_control_plane_is_in():
    rules = msgspec.structs.replace(RULES, namespace="mesh")
    ours = ControlPlane(identity=XDS_IDENTITY, dns_names=("osm-xds.mesh.svc",))
    assert isinstance(verdict("xds", ours, rules=rules), Order)
    refusal = verdict("xds", ControlPlane(identity=XDS_IDENTITY, dns_names=("x.osm-system.svc",)), rules=rules)
    assert refusal.why == "dns_names: found 'x.osm-system.svc', allowed are localhost and services in mesh"


def test_a_request_may_name_what_will_be_written_and_nothing_else():
    key = make_key()
    assert isinstance(verdict("xds", LEAF, csr=request(key, profile_of(LEAF, "cluster.local"))), Order)
    refusal = verdict("xds", LEAF, csr=request(key, profile_of(MeshLeaf(identity=ABSENT), "cluster.local")))
    assert refusal.reason == "csr"
    assert refusal.why == (
        "csr_pem: found a request for spiffe://cluster.local/ns/bookthief/sa/bookthief, "
        "bookthief.bookthief.cluster.local, allowed are no names or "
        "spiffe://cluster.local/ns/bookstore/sa/bookstore-v1, bookstore-v1.bookstore.cluster.local"
    )


def test_a_request_to_be_an_authority_is_refused():
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    csr = builder.sign(make_key(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    refusal = verdict("xds", LEAF, csr=csr)
    assert refusal.why.startswith("csr_pem: found a request for extension basicConstraints, allowed are no names or ")


def test_a_gateway_is_a_client_with_dns_names_and_nobody_of_the_mesh():
    order = verdict("injector", Gateway(dns_names=("a.edge.cluster.local", "shop.example.com")))
    assert isinstance(order, Order)
    profile = order.profile
    assert (profile.uris, profile.dns_names) == ((), ("a.edge.cluster.local", "shop.example.com"))
    assert (profile.client, profile.server) == (True, False)


@pytest.mark.parametrize(
    ("names", "reason", "retry"),
    [
        ((), "name", False),
        (tuple(f"a{number}.example.com" for number in range(21)), "name", False),
        (("bookstore-v1.bookstore.cluster.local",), "name", True),
        (("fine.example.com", "bookstore-v1.bookstore.cluster.local"), "name", True),
        (("osm-xds.osm-system.cluster.local",), "reserved", False),
        (("osm-anything.osm-system.cluster.local",), "reserved", False),
        (("osm-injector.osm-system.svc",), "reserved", False),
        (("localhost",), "reserved", False),
        (("*.example.com",), "name", False),
        (("Shop.example.com",), "name", False),
        (("spiffe://cluster.local/ns/bookstore/sa/bookstore-v1",), "name", False),
        (("a..b",), "name", False),
        (("a.example.com\n",), "name", False),
        ((".".join(["a" * 60] * 5),), "name", False),
    ],
)
def test_a_gateway_is_never_called_what_a_workload_or_a_service_of_ours_is(names, reason, retry):
    refusal = verdict("injector", Gateway(dns_names=names))
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.retry) == (reason, retry)


def test_an_account_outside_the_mesh_leaves_its_name_to_a_gateway():
    names = Gateway(dns_names=(ABSENT.dns("cluster.local"),))
    assert isinstance(verdict("injector", names), Order)
    assert isinstance(verdict("injector", names, identities=frozenset({ABSENT})), Refusal)

from osm.bus import Document, Update
from osm.contracts.channels import BUNDLE, IDENTITY
from osm.contracts.endpoints import MeshIdentity
from osm.contracts.names import Identity
from osm.contracts.trust import Bundle
from services.certmgr.state import Picture

STORE, BUYER, THIEF = Identity("bookstore", "store.v1"), Identity("bookbuyer", "buyer"), Identity("thief", "thief")


def present(identity):
    key = IDENTITY.key(identity.namespace, identity.account)
    return Document(bucket="endpoints", key=key, value=MeshIdentity(identity=identity), revision=1)


def gone(identity):
    key = IDENTITY.key(identity.namespace, identity.account)
    return Document(bucket="endpoints", key=key, value=None, revision=2, deleted=True)


def unclear(identity):
    key = IDENTITY.key(identity.namespace, identity.account)
    return Document(bucket="endpoints", key=key, value=None, revision=2, why="of a newer version")


def endpoints(*documents, full=False):
    return Update(bucket="endpoints", full=full, documents=documents, revision=3)


def picture(*updates):
    made = Picture("cluster.local")
    for update in updates:
        made.apply(update)
    return made


def test_identities_come_and_go():
    seen = picture(endpoints(present(STORE), present(BUYER), full=True), endpoints(gone(STORE), present(THIEF)))
    assert seen.identities == {BUYER, THIEF}


def test_a_full_picture_replaces_what_was_known():
    assert picture(endpoints(present(STORE), full=True), endpoints(present(BUYER), full=True)).identities == {BUYER}


def test_a_document_that_cannot_be_read_keeps_the_last_good_value():
    for full in (True, False):
        seen = picture(endpoints(present(STORE), full=True), endpoints(unclear(STORE), unclear(THIEF), full=full))
        assert seen.identities == {STORE}


def test_both_buckets_must_be_read():
    made = Picture("cluster.local")
    assert made.unread == ("certmgr", "endpoints")
    made.apply(endpoints(full=True))
    assert made.unread == ("certmgr",)


def test_a_root_is_trusted_if_the_bundle_of_our_trust_domain_holds_it():
    made = Picture("cluster.local")
    for trust_domain, root in (("cluster.local", "ours"), ("other.example", "theirs")):
        bundle = Bundle(trust_domain=trust_domain, roots_pem=(root,))
        document = Document(bucket="certmgr", key=BUNDLE.key(trust_domain), value=bundle, revision=1)
        made.apply(Update(bucket="certmgr", full=False, documents=(document,), revision=1))
    assert made.trusts("ours")
    assert not made.trusts("theirs")

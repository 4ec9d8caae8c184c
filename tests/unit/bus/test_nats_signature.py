"""What a signature says, and all that it does not say."""

import base64

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from osm.bus.nats_signature import Claim, SignatureCheck, prove

KEY = Ed25519PrivateKey.generate()
CLAIM = Claim("catalog", "2026-01-01 00:00:00", 7, "policy.ns.sa", "catalog", b"{}")


class Counting:
    """Verifies with KEY, and counts."""

    def __init__(self) -> None:
        self.verified = 0

    def __call__(self, signature: bytes, signed: bytes) -> bool:
        self.verified += 1
        try:
            KEY.public_key().verify(signature, signed)
        except InvalidSignature:
            return False
        return True


def claims(count: int) -> list[Claim]:
    return [CLAIM._replace(revision=7 + n, key=f"policy.ns.sa{n}", body=b"x" * n or None) for n in range(count)]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 255, 256])
def test_writes_under_way_together_are_believed_each_by_itself_with_one_signature(count: int) -> None:
    together = claims(count)
    proofs = prove(KEY.sign, together)
    for claim, proof in zip(together, proofs, strict=True):
        assert SignatureCheck(Counting()).doubt(claim, proof) == ""
    verify = Counting()
    doubter = SignatureCheck(verify)
    assert not any(doubter.doubt(claim, proof) for claim, proof in zip(together, proofs, strict=True))
    assert verify.verified == 1


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize(
    "other",
    [
        {"bucket": "meshspec"},
        {"created": "2026-01-02 00:00:00"},
        {"revision": 8},
        {"key": "policy.ns.other"},
        {"writer": "local"},
        {"body": b"{ }"},
        {"body": b""},
        {"body": None},
    ],
)
def test_a_signature_is_good_for_what_it_says_alone(count: int, other: dict) -> None:
    together = [CLAIM, *claims(count)[1:]]
    proof, *_ = prove(KEY.sign, together)
    doubter = SignatureCheck(Counting())
    assert doubter.doubt(CLAIM, proof) == ""
    assert "for this key, body and place" in doubter.doubt(CLAIM._replace(**other), proof)


def test_a_deletion_is_not_an_empty_body() -> None:
    deletion = CLAIM._replace(body=None)
    (proof,) = prove(KEY.sign, [deletion])
    assert SignatureCheck(Counting()).doubt(deletion, proof) == ""
    assert SignatureCheck(Counting()).doubt(CLAIM._replace(body=b""), proof)


def test_where_the_body_begins_cannot_be_moved() -> None:
    (proof,) = prove(KEY.sign, [CLAIM._replace(key="a\nb", body=b"c")])
    assert SignatureCheck(Counting()).doubt(CLAIM._replace(key="a", body=b"b\nc"), proof)


def test_anothers_key_is_not_the_owners() -> None:
    (proof,) = prove(Ed25519PrivateKey.generate().sign, [CLAIM])
    assert "not catalog's" in SignatureCheck(Counting()).doubt(CLAIM, proof)


def test_what_is_read_again_costs_no_signature_and_memory_is_bounded(monkeypatch) -> None:
    alone = [(claim, *prove(KEY.sign, [claim])) for claim in claims(5)]
    verify = Counting()
    doubter = SignatureCheck(verify)
    assert not any(doubter.doubt(claim, proof) for claim, proof in alone * 3)
    assert verify.verified == 5
    monkeypatch.setattr("osm.bus.nats_signature.MOST_KNOWN", 3)
    assert not any(doubter.doubt(claim, proof) for claim, proof in alone * 3)
    small = SignatureCheck(verify)
    assert not any(small.doubt(claim, proof) for claim, proof in alone)
    assert verify.verified == 10


def test_neighbours_do_not_swap_places() -> None:
    together = claims(4)
    proofs = prove(KEY.sign, together)
    doubter = SignatureCheck(Counting())
    assert [doubter.doubt(claim, proofs[0]) == "" for claim in together] == [True, False, False, False]


@pytest.mark.parametrize(
    "proof",
    ["", "0", "0.", "x.AAAA", "0.????", "-1." + "A" * 88, "1." + base64.b64encode(bytes(64)).decode()]
    + ["0." + base64.b64encode(bytes(size)).decode() for size in (0, 63, 65, 64 + 31, 64 + 32 * 17)],
)
def test_what_is_not_a_proof_is_a_reason_and_no_error(proof: str) -> None:
    assert SignatureCheck(Counting()).doubt(CLAIM, proof)


def test_a_branch_does_not_pose_as_a_message() -> None:
    """The hash of two neighbours, given as the hash of one message, would need a body that begins like a branch."""
    two = claims(2)
    first, _ = prove(KEY.sign, two)
    body = base64.b64decode(first.partition(".")[2])
    shorter = "0." + base64.b64encode(body[:64]).decode()
    assert SignatureCheck(Counting()).doubt(two[0], shorter)

"""Whether a chain that came from elsewhere is what was ordered, to the letter: nothing else leaves certmgr.

Apart from those who ask (`external`, `vault`, `cert_manager`), so that none can forget it, and an authority that is
set up wrongly, or taken over, can give nobody a name that certmgr has not decided. Pure.
"""

from itertools import pairwise

from osm.contracts.trust import Chain
from osm.pki.content import content_of, is_for_key_of
from osm.pki.issuing import UnfitRoot, require_root
from osm.pki.reading import (
    BadCertificate,
    Certificate,
    Untrusted,
    chain_pem,
    key_id,
    load_chain,
    not_after_s,
    not_before_s,
    require_trusted,
)
from services.certmgr.decide import Order

CLOCKS_DIFFER_S = 60
"""Between certmgr's clock and the authority's: a certificate may begin and end by this much later than ordered."""

MAX_PEM_CHARS = 64 * 1024
MAX_CHAIN = 8
"""Certificates. Every handshake carries them all."""


class WrongAnswer(Exception):
    """What came back is not what was ordered: which field, what was found, what is allowed."""

    def __init__(self, field: str, found: object, allowed: object) -> None:
        super().__init__(f"{field}: found {found}, allowed is {allowed}")
        self.field = field


def root_of(pem: str) -> Certificate:
    """The one self-signed certificate in the text; intermediates beside it are passed over. Raises WrongAnswer."""
    roots = {each for each in _loaded("roots", pem) if each.issuer == each.subject}
    if len(roots) != 1:
        allowed = "one, that all chains lead to; OSM_CERTMGR_ROOT_FILE may name a file with it"
        raise WrongAnswer("roots", f"{len(roots)} self-signed certificates", allowed)
    (root,) = roots
    try:
        require_root(root)
    except UnfitRoot as error:
        raise WrongAnswer("roots", error, "a self-signed root with basicConstraints, keyUsage and a key id") from error
    return root


def verified(answer: str, order: Order, root: Certificate, *, now_s: float, latest_s: int) -> Chain:
    """The chain, without its root, if it fits the order and ends by `latest_s`. Raises WrongAnswer."""
    chain = [each for each in _loaded("chain", answer) if each != root]
    if not chain:
        raise WrongAnswer("chain", "the root alone", "a certificate and those between it and the root")
    leaf = chain[0]
    _require_says(leaf, order)
    _require_leads(chain, root, now_s)
    _require_holds(chain, now_s, latest_s)
    return Chain(
        chain_pem=chain_pem(chain),
        issuer=key_id(root),
        not_before_s=not_before_s(leaf),
        not_after_s=not_after_s(leaf),
    )


def _loaded(field: str, pem: str) -> tuple[Certificate, ...]:
    if len(pem) > MAX_PEM_CHARS:
        raise WrongAnswer(field, f"{len(pem)} characters", f"at most {MAX_PEM_CHARS}")
    try:
        chain = load_chain(pem)
    except BadCertificate as error:
        raise WrongAnswer(field, error, "certificates in PEM") from error
    if len(chain) > MAX_CHAIN:
        raise WrongAnswer(field, f"{len(chain)} certificates", f"at most {MAX_CHAIN}")
    return chain


def _require_says(leaf: Certificate, order: Order) -> None:
    """The key of the request, exactly the names that were ordered, exactly their uses, and no power to sign."""
    if not is_for_key_of(leaf, order.csr):
        raise WrongAnswer("public key", "another", "that of the request")
    try:
        said = content_of(leaf)
    except BadCertificate as error:
        raise WrongAnswer("certificate", error, "one that can be read") from error
    profile = order.profile
    uses = tuple(use for use, wanted in (("client", profile.client), ("server", profile.server)) if wanted)
    names = (*profile.uris, *profile.dns_names)
    _require_equal("URI names", said.uris, profile.uris)
    _require_equal("DNS names", said.dns_names, tuple(sorted(set(profile.dns_names))))
    _require_equal("other names", said.others, ())
    if strange := set(said.common_names) - set(names):
        raise WrongAnswer("common name", ", ".join(sorted(strange)), f"none, or {' or '.join(names)}")
    _require_equal("extended key usage", said.uses, uses)
    if said.is_ca or {"key_cert_sign", "crl_sign"} & set(said.usages):
        raise WrongAnswer("basic constraints and key usage", "a certificate that may sign others", "one that may not")
    if "digital_signature" not in said.usages:
        raise WrongAnswer("key usage", ", ".join(said.usages) or "none", "digital_signature, which TLS needs")


def _require_equal(field: str, found: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    if found != allowed:
        raise WrongAnswer(field, ", ".join(found) or "none", ", ".join(allowed) or "none")


def _require_leads(chain: list[Certificate], root: Certificate, now_s: float) -> None:
    """Each signed by the next, the last by the root, as everyone in the mesh will check it."""
    for lower, upper in pairwise(chain):
        if lower.issuer != upper.subject:
            found = f"{lower.issuer.rfc4514_string()!r} above {upper.subject.rfc4514_string()!r}"
            raise WrongAnswer("order of the chain", found, "the certificate, then each that signed the one before")
    begins_s = max(map(not_before_s, chain))
    if begins_s > now_s + CLOCKS_DIFFER_S:
        raise WrongAnswer(
            "not before", f"{begins_s - now_s:.0f} s from now", f"at most {CLOCKS_DIFFER_S}; compare clocks"
        )
    try:
        require_trusted(chain, (root,), max(now_s, begins_s))
    except Untrusted as error:
        raise WrongAnswer("chain", error, f"one that leads to root {key_id(root)}") from error


def _require_holds(chain: list[Certificate], now_s: float, latest_s: int) -> None:
    end_s = not_after_s(chain[0])
    if end_s > latest_s:
        found, allowed = f"{end_s - now_s:.0f} s from now", f"at most {latest_s - now_s:.0f}"
        raise WrongAnswer("not after", found, allowed)
    if end_s > (least_s := min(map(not_after_s, chain))):
        found, allowed = f"{end_s - now_s:.0f} s from now", f"at most {least_s - now_s:.0f}, the end of its issuer"
        raise WrongAnswer("not after", found, allowed)

"""A certificate authority that is not ours: root, intermediate, leaves; and every wrong answer that one could give."""

import time
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY_S = 86_400
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


def pem(*certificates: x509.Certificate) -> str:
    return "".join(each.public_bytes(Encoding.PEM).decode() for each in certificates)


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def usage(*, signs: bool = False, digital: bool = True) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=not signs,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


class OtherCa:
    """Times are this moment's unless `now_s` is given."""

    def __init__(self, name: str = "other", *, now_s: float | None = None, intermediate_days: int = 365) -> None:
        self.now_s = now_s
        self.root_key = ec.generate_private_key(ec.SECP256R1())
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.root = self._authority(f"{name} root", self.root_key, f"{name} root", self.root_key, 3650)
        self.intermediate = self._authority(
            f"{name} intermediate", self.key, f"{name} root", self.root_key, intermediate_days
        )
        self.root_pem = pem(self.root)

    def moment(self, offset_s: float) -> datetime:
        now_s = time.time() if self.now_s is None else self.now_s
        return datetime.fromtimestamp(int(now_s + offset_s), UTC)

    def _authority(self, name, key, issuer, issuer_key, days):
        ski = x509.SubjectKeyIdentifier.from_public_key
        return (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.moment(-3600))
            .not_valid_after(self.moment(days * DAY_S))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage(signs=True), critical=True)
            .add_extension(ski(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
            .sign(issuer_key, hashes.SHA256())
        )

    def sign(
        self,
        csr_pem: str,
        uri: str,
        dns_names=(),
        *,
        client=True,
        server=False,
        lifetime_s=3600,
        begins_s=-30,
        key=None,
        more=(),
        uses=(),
        may_sign=False,
        digital=True,
        common_name="",
    ) -> str:
        """The chain. What is named after `lifetime_s` is there to answer wrongly with."""
        public = key or x509.load_pem_x509_csr(csr_pem.encode()).public_key()
        uris = [x509.UniformResourceIdentifier(uri)] if uri else []  # an ingress gateway has none
        names = [*uris, *map(x509.DNSName, dns_names), *more]
        wanted = [use for use, is_wanted in ((CLIENT, client), (SERVER, server)) if is_wanted]
        leaf = (
            x509.CertificateBuilder()
            .subject_name(named(common_name) if common_name else x509.Name([]))
            .issuer_name(self.intermediate.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.moment(begins_s))
            .not_valid_after(self.moment(lifetime_s))
            .add_extension(x509.BasicConstraints(ca=may_sign, path_length=None), critical=True)
            .add_extension(usage(signs=may_sign, digital=digital), critical=True)
            .add_extension(x509.ExtendedKeyUsage([*wanted, *uses]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=not common_name)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return pem(leaf, self.intermediate)

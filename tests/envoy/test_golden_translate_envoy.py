"""The real Envoy takes every golden case, without a word about deprecation."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from osm.envoy import binary
from services.xds.translate import bundle_name, bundle_secret, leaf_secret
from tests.golden.translate import bootstrap, cases

pytestmark = pytest.mark.envoy


@pytest.fixture(scope="module")
def certificate() -> tuple[str, str]:
    """Any certificate and its key, PEM: Envoy reads them when it validates."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "golden")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    key_pem = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(pem).decode(), key_pem.decode()


@pytest.mark.parametrize("name", cases.names())
def test_envoy_takes_the_case(name: str, certificate: tuple[str, str], tmp_path: Path) -> None:
    case = cases.read(name)
    translation = case.translate()
    chain, key = certificate
    secrets = [
        leaf_secret(chain, key),
        bundle_secret(bundle_name(case.trust_domain), (chain,)),
    ]
    config = tmp_path / "bootstrap.pb"  # as JSON it would lose what our Python messages do not know
    config.write_bytes(bootstrap.static(translation, case.assignments(translation), secrets).SerializeToString())
    done = subprocess.run(
        [binary.find(), "--mode", "validate", "--config-path", config, "--disable-hot-restart"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr.lower()

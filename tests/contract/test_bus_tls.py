"""A server that proves itself by a certificate, and asks the client for one."""

import datetime
import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from osm.bus import BusError
from osm.bus.connect import connect
from osm.bus.nats_settings import NatsSettings
from osm.testing.nats_server import nats_server

pytestmark = pytest.mark.nats


def self_signed(folder: Path, name: str) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    key_file.chmod(0o600)
    return cert_file, key_file


async def test_both_ends_prove_themselves(binary: Path, tmp_path: Path) -> None:
    server_cert, server_key = self_signed(tmp_path, "server")
    client_cert, client_key = self_signed(tmp_path, "client")
    tls = f'tls {{ cert_file: "{server_cert}", key_file: "{server_key}", ca_file: "{client_cert}", verify: true }}'
    settings = NatsSettings(
        ca_file=str(server_cert), cert_file=str(client_cert), key_file=str(client_key), unsigned=True
    )
    async with nats_server(binary, extra=tls) as server:
        url = server.url.replace("nats:", "tls:")
        async with connect(url, "meshspec", settings) as bus, bus.writer("meshspec") as writer:
            await writer.publish({})
        client_key.chmod(0o644)
        with pytest.raises(BusError, match="lets others read it"):
            await connect(url, "meshspec", settings).__aenter__()

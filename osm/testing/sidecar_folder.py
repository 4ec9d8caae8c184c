"""The folder of one Envoy that a test or a trial starts by itself: bootstrap, certificate, roots, log, admin socket.

Apart from `services.local`, whose sidecars renew and outlive it. It starts nothing, and tidies nothing up.
"""

from pathlib import Path

from osm.contracts.names import Address, Identity
from osm.envoy import binary
from osm.envoy.bootstrap import Sidecar, bootstrap, certificate_sds, roots_sds, text
from osm.envoy.process import Launch
from osm.pki.files import write_secret

TRUST_DOMAIN = "cluster.local"


def launch_of(folder: Path) -> Launch:
    """How to start the installed Envoy on what lies in the folder. Raises `osm.envoy.binary.NoEnvoy`."""
    return Launch(
        program=binary.find(),
        bootstrap=folder / "bootstrap.json",
        admin=folder / "admin.sock",
        log=folder / "envoy.log",
    )


def write_bootstrap(
    folder: Path, proxy_id: str, identity: Identity, xds: Address, *, load_reports: bool = False
) -> None:
    """For an Envoy that takes everything from `xds`, with what `write_certificate` has put there."""
    sidecar = Sidecar(
        proxy_id=proxy_id,
        identity=identity,
        trust_domain=TRUST_DOMAIN,
        xds=xds,
        admin=folder / "admin.sock",
        certificate_sds=folder / "certificate.json",
        roots_sds=folder / "roots.json",
        load_reports=load_reports,
    )
    (folder / "bootstrap.json").write_text(text(bootstrap(sidecar)))


def write_certificate(folder: Path, *, key_pem: str, chain_pem: str, roots_pem: str) -> None:
    """Towards xds; a running Envoy notices that they have been replaced."""
    (folder / "roots.json").write_text(text(roots_sds(roots_pem)))
    write_secret(folder / "certificate.json", text(certificate_sds(key_pem=key_pem, chain_pem=chain_pem)).encode())

"""Which processes a mesh apart has, and what each is told."""

from pathlib import Path

import pytest

from osm.bus.nats_settings import NatsSettings
from osm.cli.machine.authority_choice import authority_choice
from osm.cli.machine.process_specs import SERVICES, BadReplicas, ProcessSpec, Wanted, process_specs, read_replicas
from osm.cli.machine.run_folder import RunFolder
from osm.cli.nats_access import NatsAccess
from osm.runtime.settings import Common, misspelt, read_service
from services.certmgr.settings import Settings as CertmgrSettings
from services.endpoints.settings import Settings as EndpointsSettings
from services.local.settings import Settings as LocalSettings
from services.meshspec.settings import Settings as MeshspecSettings
from services.xds.settings import Settings as XdsSettings

SETTINGS = {
    "meshspec": MeshspecSettings,
    "endpoints": EndpointsSettings,
    "catalog": Common,
    "certmgr": CertmgrSettings,
    "xds": XdsSettings,
    "local": LocalSettings,
}

REACH = NatsAccess(url="tls://127.66.0.1:1", variables={"OSM_NATS_PASSWORD_FILE": "/secrets/{user}.password"})


def made(replicas: dict[str, int] | None = None, machine: dict[str, str] | None = None) -> tuple[ProcessSpec, ...]:
    wanted = Wanted(folder=Path("/m"), ca_folder=Path("/ca"), proxy_lifetime_s=20, replicas=replicas or {})
    return process_specs(wanted, RunFolder(path=Path("/run/x"), block=70), REACH, machine or {})


def test_each_service_is_one_process_unless_more_are_asked_for() -> None:
    assert [piece.name for piece in made()] == [f"{service}-0" for service in SERVICES]
    assert [piece.name for piece in made({"xds": 2}) if piece.service == "xds"] == ["xds-0", "xds-1"]


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_piece_is_told_is_what_its_service_reads(service: str) -> None:
    (piece,) = (piece for piece in made() if piece.service == service)
    settings = read_service(SETTINGS[service], piece.environment, service)
    assert misspelt(SETTINGS[service], piece.environment, service) == ()
    assert (settings.bus, settings.replica) == (REACH.url, f"{service}-0")


def test_every_piece_has_a_password_file_of_its_own() -> None:
    assert {piece.environment["OSM_NATS_PASSWORD_FILE"] for piece in made()} == {
        f"/secrets/{service}.password" for service in SERVICES
    }
    assert REACH.settings("cli") == NatsSettings(password_file="/secrets/cli.password")


def test_settings_of_another_mesh_are_not_inherited() -> None:
    piece = made(machine={"OSM_XDS_LISTEN": "0.0.0.0:1", "OSM_TRUST_DOMAIN": "other", "PATH": "/bin"})[0]
    assert "OSM_TRUST_DOMAIN" not in piece.environment
    assert piece.environment["PATH"] == "/bin"


@pytest.mark.parametrize("text", ["nonsense=2", "xds", "xds=0", "xds=many", "local=2", "xds=10"])
def test_wrong_replicas_say_what_is_allowed(text: str) -> None:
    with pytest.raises(BadReplicas, match="allowed are"):
        read_replicas(text)


def test_replicas_are_read() -> None:
    assert read_replicas("xds=2,certmgr=3") == {"xds": 2, "certmgr": 3}
    assert read_replicas("") == {}


def test_who_issues_certificates_is_the_users_choice_and_the_one_variable_of_the_machine_that_counts() -> None:
    machine = {
        "OSM_CERTMGR_PROVIDER": "external",
        "OSM_CERTMGR_EXTERNAL_ADDRESS": "unix:/ca.sock",
        "OSM_CERTMGR_LEAF_LIFETIME_S": "1",
        "OSM_XDS_LISTEN": "elsewhere",
    }
    chosen = authority_choice(machine)
    assert chosen == {"OSM_CERTMGR_EXTERNAL_ADDRESS": "unix:/ca.sock", "OSM_CERTMGR_PROVIDER": "external"}
    wanted = Wanted(folder=Path("/m"), ca_folder=Path("/ca"), proxy_lifetime_s=20, authority=chosen)
    specs = process_specs(wanted, RunFolder(path=Path("/run/x"), block=70), REACH, machine)
    told = {spec.service: spec.environment for spec in specs}
    certmgr = read_service(CertmgrSettings, told["certmgr"], "certmgr")
    assert (certmgr.provider, certmgr.external_address) == ("external", "unix:/ca.sock")
    assert not any("EXTERNAL" in name for service in ("xds", "local") for name in told[service])
    assert "OSM_CERTMGR_LEAF_LIFETIME_S" not in told["certmgr"]

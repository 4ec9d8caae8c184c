"""What the chart gives certmgr for each provider: settings that it knows, files that it mounts, no right too many."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from osm.runtime.settings import misspelt, read_service
from osm.testing.chart import Helm, Refused
from services.certmgr.settings import Settings

Object = Mapping[str, Any]
Render = Callable[..., tuple[Object, ...]]

KIND = "osm.certificateProvider.kind"
VAULT = (f"{KIND}=vault", "osm.vault.host=vault.example", "osm.vault.secret.name=vt", "osm.vault.secret.key=it")
CERT_MANAGER = (f"{KIND}=cert-manager", "osm.certmanager.issuerKind=ClusterIssuer")
PLUGIN = (f"{KIND}=external", "osm.externalCA.address=ca.example:443", "osm.externalCA.secretName=ca-tls")
BESIDE = (
    f"{KIND}=external",
    "osm.externalCA.address=unix:/run/osm/ca/ca.sock",
    "osm.externalCA.container.image=example/plugin:1",
)
PROVIDERS = {"vault": VAULT, "cert-manager": CERT_MANAGER, "external": PLUGIN, "beside": BESIDE}


def pod(objects: tuple[Object, ...]) -> Object:
    (found,) = (each for each in objects if each["kind"] == "Deployment" and each["metadata"]["name"] == "osm-certmgr")
    return found["spec"]["template"]["spec"]


def environment(objects: tuple[Object, ...]) -> dict[str, str]:
    return {each["name"]: each.get("value", "from-the-pod") for each in pod(objects)["containers"][0]["env"]}


def settings(objects: tuple[Object, ...]) -> Settings:
    return read_service(Settings, environment(objects), "certmgr")


def rules(objects: tuple[Object, ...], role: str) -> list[Object]:
    return next(each["rules"] for each in objects if each["kind"] == "Role" and each["metadata"]["name"] == role)


@pytest.mark.parametrize("values", PROVIDERS.values(), ids=PROVIDERS)
def test_certmgr_knows_what_it_is_told_and_mounts_what_is_named(values: tuple[str, ...], rendered: Render) -> None:
    objects = rendered(*values)
    found = environment(objects)
    assert misspelt(Settings, found, "certmgr") == ()
    assert settings(objects).store == "kubernetes"
    mounts = {each["mountPath"]: each["name"] for each in pod(objects)["containers"][0]["volumeMounts"]}
    volumes = {each["name"] for each in pod(objects)["volumes"]}
    files = [value for name, value in found.items() if name.endswith("_FILE")]
    assert all(file.rpartition("/")[0] in mounts for file in files)
    assert set(mounts.values()) <= volumes


@pytest.mark.parametrize("values", PROVIDERS.values(), ids=PROVIDERS)
def test_without_a_root_of_our_own_nobody_makes_or_reads_one(values: tuple[str, ...], rendered: Render) -> None:
    objects = rendered(*values)
    assert "osm-ca-bundle" not in str([each for each in objects if each["kind"] in ("Role", "Job", "Deployment")])
    (job,) = (each for each in objects if each["kind"] == "Job")
    assert "--ca-bundle-secret=" in job["spec"]["template"]["spec"]["containers"][0]["args"]


def test_rights_to_certificate_requests_are_those_of_cert_managers_mesh(rendered: Render) -> None:
    wanted = {
        "apiGroups": ["cert-manager.io"],
        "resources": ["certificaterequests"],
        "verbs": ["create", "list", "watch", "delete"],
    }
    assert wanted in rules(rendered(*CERT_MANAGER), "osm-certmgr")
    for others in (VAULT, PLUGIN, ()):
        assert wanted not in rules(rendered(*others), "osm-certmgr")
    found = settings(rendered(*CERT_MANAGER))
    assert (found.cert_manager_issuer, found.cert_manager_kind) == ("osm-ca", "ClusterIssuer")


def test_vaults_token_comes_from_the_secret_that_is_named_or_is_made_one(rendered: Render) -> None:
    objects = rendered(*VAULT)
    assert settings(objects).vault_token_file == "/etc/osm/vault/it"
    assert settings(objects).vault_address == "https://vault.example:8200"
    (volume,) = (each for each in pod(objects)["volumes"] if each["name"] == "vault")
    assert volume["secret"] == {"secretName": "vt", "defaultMode": 0o440}
    given = rendered(f"{KIND}=vault", "osm.vault.host=v.example", "osm.vault.token=hvs.x")
    (secret,) = (each for each in given if each["kind"] == "Secret")
    assert (secret["metadata"]["name"], secret["stringData"]) == ("osm-vault-token", {"token": "hvs.x"})
    assert settings(given).vault_token_file == "/etc/osm/vault/token"
    assert "hvs.x" not in str([each for each in given if each["kind"] != "Secret"])


def test_a_plug_in_beside_certmgr_shares_a_folder_and_nothing_else(rendered: Render) -> None:
    certmgr, plugin = pod(rendered(*BESIDE))["containers"]
    assert {each["mountPath"] for each in certmgr["volumeMounts"]} & {
        each["mountPath"] for each in plugin["volumeMounts"]
    } == {"/run/osm/ca"}
    assert plugin["name"] == "ca-plugin"
    assert plugin["securityContext"]["readOnlyRootFilesystem"]


def test_a_root_that_is_given_is_a_file_for_certmgr(rendered: Render) -> None:
    text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"
    objects = rendered(*PLUGIN, f"osm.rootCertificate={text}")
    (root,) = (each for each in objects if each["kind"] == "ConfigMap" and each["metadata"]["name"] == "osm-root")
    assert root["data"]["ca.crt"].strip() == text
    assert settings(objects).root_file == "/etc/osm/root/ca.crt"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((f"{KIND}=vault",), "osm.vault.host: found nothing"),
        ((f"{KIND}=vault",), "osm.vault.secret: found no name and key"),
        ((*VAULT, "osm.vault.protocol=http"), 'osm.vault.protocol: found "http", allowed is https'),
        ((f"{KIND}=external",), "osm.externalCA.address: found nothing"),
        ((f"{KIND}=external", "osm.externalCA.address=ca.example:1"), "osm.externalCA.secretName: found nothing"),
        ((f"{KIND}=external", "osm.externalCA.address=http://x"), "'/osm/externalCA/address'"),
        ((f"{KIND}=keyfactor",), "'/osm/certificateProvider/kind': value must be one of"),
        (("osm.rootCertificate=nonsense",), "'/osm/rootCertificate'"),
    ],
)
def test_what_a_provider_lacks_is_said_by_name(values: tuple[str, ...], words: str, helm: Helm) -> None:
    with pytest.raises(Refused) as refused:
        helm.render(*values)
    assert words in str(refused.value)

"""How kubeconfig files are read."""

import base64
import json
from pathlib import Path

import pytest

from osm.contracts.names import Identity
from osm.k8s.credentials import FromKubeconfig, tls
from osm.k8s.errors import NoCluster
from osm.k8s.kubeconfig import read
from osm.testing.authority import Authority

HOME, WORK = Path("/home/me/.kube/config"), Path("/srv/config")

BOTH = """
apiVersion: v1
kind: Config
current-context: here
contexts:
- {name: here, context: {cluster: near, user: me, namespace: shop}}
- {name: there, context: {cluster: far}}
clusters:
- {name: near, cluster: {server: "https://10.0.0.1:6443", certificate-authority: ca.crt, tls-server-name: kubernetes}}
- {name: far, cluster: {server: "https://10.0.0.2:6443", insecure-skip-tls-verify: true, proxy-url: null}}
users:
- {name: me, user: {token: secret}}
"""


def test_the_current_context_is_meant_unless_another_is_named() -> None:
    login = read({HOME: BOTH})
    assert (login.server.server, login.user.token) == ("https://10.0.0.1:6443", "secret")
    assert (login.server.tls_server_name, login.server.certificate_authority) == ("kubernetes", "ca.crt")
    assert login.server_folder == HOME.parent
    there = read({HOME: BOTH}, "there")
    assert (there.server.server, there.server.insecure_skip_tls_verify) == ("https://10.0.0.2:6443", True)
    assert there.user.token == ""


def test_of_several_files_the_first_that_says_it_counts() -> None:
    first = """
    current-context: there
    users: [{name: me, user: {token: other}}]
    clusters: null
    """
    texts = {WORK: first, HOME: BOTH}
    assert read(texts).server.server == "https://10.0.0.2:6443"
    login = read(texts, "here")
    assert (login.user.token, login.user_folder, login.server_folder) == ("other", WORK.parent, HOME.parent)


@pytest.mark.parametrize(
    ("text", "context", "sentence"),
    [
        ("", "", "kubeconfig /home/me/.kube/config: no current-context; name one with --context"),
        (BOTH, "gone", 'kubeconfig /home/me/.kube/config: no context "gone", there are here, there'),
        ("clusters: 3", "", "kubeconfig /home/me/.kube/config: Expected `array | null`, got `int` - at `$.clusters`"),
        (BOTH.replace("token: secret", "as: root"), "", "user me acts as another, which is not supported"),
        (BOTH.replace("server: ", "sever: "), "", "cluster near: Object missing required field `server`"),
        (BOTH.replace("user: me", "user: you"), "", 'no user "you", there are me'),
    ],
)
def test_what_is_wrong_is_named(text: str, context: str, sentence: str) -> None:
    with pytest.raises(NoCluster) as caught:
        read({HOME: text}, context)
    assert sentence in str(caught.value)


def test_a_file_that_is_no_yaml_is_named() -> None:
    with pytest.raises(NoCluster, match="while parsing"):
        read({HOME: "a: ["})


def test_certificates_in_memory_leave_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    authority = Authority()
    pair = authority.workload(Identity("shop", "me"))
    found = tls(authority.roots_pem.decode(), pair.chain_pem.decode(), pair.key_pem.decode(), verify=True)
    assert len(found.get_ca_certs()) == 1
    assert list(tmp_path.iterdir()) == []


async def test_a_key_that_is_none_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(BOTH.replace("{token: secret}", "{client-certificate-data: aGE=, client-key-data: aGE=}"))
    (tmp_path / "ca.crt").write_bytes(Authority().roots_pem)
    with pytest.raises(NoCluster, match=f"kubeconfig {path}: "):
        await FromKubeconfig.load(str(path), "")


async def test_a_login_program_that_is_missing_says_how_to_get_it(tmp_path: Path) -> None:
    path = tmp_path / "config"
    login = "{exec: {apiVersion: v1, command: no-such-login, installHint: get it from us}}"
    path.write_text(BOTH.replace("{token: secret}", login))
    (tmp_path / "ca.crt").write_bytes(Authority().roots_pem)
    with pytest.raises(NoCluster, match=r"login program no-such-login: .*get it from us"):
        await FromKubeconfig.load(str(path), "")


async def test_an_auth_provider_grants_its_token(tmp_path: Path) -> None:
    parts = ({"alg": "none"}, {"exp": 4_102_444_800})
    token = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".s"
    provider = {"name": "oidc", "config": {"id-token": token, "idp-issuer-url": "https://idp", "client-id": "osm"}}
    path = tmp_path / "config"
    path.write_text(BOTH.replace("{token: secret}", json.dumps({"auth-provider": provider})))
    (tmp_path / "ca.crt").write_bytes(Authority().roots_pem)
    found = await FromKubeconfig.load(str(path), "")
    assert (found.host, found.headers()) == ("https://10.0.0.1:6443", {"Authorization": f"Bearer {token}"})

"""The client against a real API server."""

import asyncio
import gc
import json
import warnings
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from osm.k8s.access import InPod
from osm.k8s.client import Cluster, connected
from osm.k8s.connection import opened
from osm.k8s.errors import Conflict, Forbidden, Invalid, NoCluster, NotFound, Unreachable
from osm.k8s.events import tell
from osm.k8s.objects import ConfigMap, Namespace, Object, ObjectReference, Secret
from osm.k8s.resource import CONFIG_MAPS, EVENTS, NAMESPACES, PODS, SECRETS
from osm.k8s.selection import Selection
from osm.testing.authority import Authority
from osm.testing.kubernetes import STRANGER, ApiServer

LOGIN = """\
#!/bin/sh
cd "$(dirname "$0")"
printf %s "$KUBERNETES_EXEC_INFO" > asked
token=expired; [ ! -e again ] || token=admin
touch again
printf '{"status": {"token": "%s"}}' "$token"
"""


async def test_what_is_created_can_be_got_listed_changed_and_deleted(api: Path) -> None:
    async with connected(str(api)) as cluster:
        await cluster.create(NAMESPACES, {"metadata": {"name": "client", "labels": {"for": "client"}}})
        assert (await cluster.get(NAMESPACES, "client", as_=Namespace)).metadata.labels["for"] == "client"
        found = await cluster.list(NAMESPACES, as_=Namespace, labels="for=client")
        assert [each.metadata.name for each in found] == ["client"]

        await cluster.create(SECRETS, {"metadata": {"name": "key"}, "stringData": {"k": "v"}}, "client")
        assert (await cluster.get(SECRETS, "key", "client", as_=Secret)).data == {"k": b"v"}

        await cluster.patch(SECRETS, "key", {"metadata": {"labels": {"a": "b"}}}, "client")
        body = await cluster.get(SECRETS, "key", "client", as_=dict[str, Any])
        assert body["metadata"]["labels"] == {"a": "b"}
        await cluster.replace(SECRETS, body | {"data": {"k": "dw=="}})
        with pytest.raises(Conflict):
            await cluster.replace(SECRETS, body | {"data": {"k": "eA=="}})

        await cluster.delete(SECRETS, "key", "client")
        with pytest.raises(NotFound, match="get secrets client/key: "):
            await cluster.get(SECRETS, "key", "client", as_=Secret)


async def test_server_side_apply_creates_and_changes(api: Path) -> None:
    async with connected(str(api)) as cluster:
        for value in ("1", "2"):
            await cluster.patch(CONFIG_MAPS, "applied", {"data": {"k": value}}, "default", how="apply")
        assert (await cluster.get(CONFIG_MAPS, "applied", "default", as_=ConfigMap)).data == {"k": "2"}


def test_a_request_that_is_given_up_leaves_no_connection(api: Path) -> None:
    """Wherever it is: not sent yet, waiting, or reading the answer."""

    async def give_up(turns: int) -> None:
        async with connected(str(api)) as cluster:
            await cluster.version()
            request = asyncio.create_task(cluster.list(NAMESPACES, as_=Namespace))
            for _ in range(turns):
                await asyncio.sleep(0)
            request.cancel()
            await asyncio.wait([request])

    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", ResourceWarning)
        for turns in range(0, 60, 2):
            asyncio.run(give_up(turns))
        gc.collect()
    assert not [str(each.message) for each in heard if each.category is ResourceWarning]


async def test_a_dry_run_leaves_nothing(api: Path) -> None:
    async with connected(str(api)) as cluster:
        await cluster.create(CONFIG_MAPS, {"metadata": {"name": "dry"}}, "default", dry_run=True)
        with pytest.raises(NotFound):
            await cluster.get(CONFIG_MAPS, "dry", "default", as_=ConfigMap)


async def test_an_object_that_is_none_is_invalid(api: Path) -> None:
    async with connected(str(api)) as cluster:
        with pytest.raises(Invalid, match="create pods default/none"):
            await cluster.create(PODS, {"metadata": {"name": "none"}, "spec": {"containers": []}}, "default")


async def test_what_we_may_is_the_servers_to_say(server: ApiServer) -> None:
    async with connected(str(server.kubeconfig_of(STRANGER))) as stranger:
        assert not await stranger.may("list", SECRETS)
        with pytest.raises(Forbidden, match="list secrets"):
            await stranger.list(SECRETS, as_=Secret)
    async with connected(str(server.kubeconfig)) as admin:
        assert await admin.may("list", SECRETS)


async def test_the_version_is_told_in_numbers(api: Path) -> None:
    async with connected(str(api)) as cluster:
        assert await cluster.version() == (1, 35)


async def test_a_list_longer_than_a_page_is_whole(api: Path) -> None:
    async with connected(str(api)) as cluster:
        for number in range(7):
            await cluster.create(CONFIG_MAPS, {"metadata": {"name": f"p{number}", "labels": {"p": ""}}}, "default")
        listing = await cluster.listing(Selection(what=CONFIG_MAPS, labels="p"), page=3)
        assert len(listing.items) == 7


async def test_of_a_secret_whose_metadata_alone_is_wanted_no_key_is_sent(api: Path) -> None:
    async with connected(str(api)) as cluster:
        made = {"metadata": {"name": "kept", "labels": {"for": "metadata"}}, "stringData": {"key": "hidden"}}
        await cluster.create(SECRETS, made, "default")
        of = Selection(what=SECRETS, namespace="default", labels="for=metadata", metadata_only=True)
        listing = await cluster.listing(of)
        await cluster.patch(SECRETS, "kept", {"metadata": {"annotations": {"a": "b"}}}, "default")
        async with aclosing(cluster.watching(of, listing.version, for_s=60, idle_s=60)) as batches:
            async for lines in batches:
                if lines:
                    line = lines[0]
                    break
        whole = await cluster.get(SECRETS, "kept", "default", as_=dict[str, Any])
        assert (await cluster.get(SECRETS, "kept", "default", as_=Object)).metadata.name == "kept"
        (found,) = await cluster.list(SECRETS, "default", as_=Object, labels="for=metadata")
    assert found.metadata.annotations == {"a": "b"}
    key = whole["data"]["key"].encode()
    assert b'"kept"' in bytes(listing.items[0])
    assert key not in bytes(listing.items[0])
    assert b'"MODIFIED"' in line
    assert key not in line


async def test_an_event_said_twice_is_one_that_counts(api: Path) -> None:
    async with connected(str(api)) as cluster:
        await cluster.create(NAMESPACES, {"metadata": {"name": "events"}})
        about = ObjectReference(api_version="v1", kind="Pod", namespace="events", name="web", uid="u")
        for _ in range(2):
            await tell(cluster, about, "Invalid", "spec: found 1, allowed is 2", warning=True)
        await tell(cluster, about, "Accepted", "in force", warning=False)
        found = await cluster.list(EVENTS, "events", as_=dict[str, Any])
        assert sorted((each["reason"], each["type"], each["count"]) for each in found) == [
            ("Accepted", "Normal", 1),
            ("Invalid", "Warning", 2),
        ]


async def test_an_event_about_a_name_that_must_be_cut_has_a_name_itself(api: Path) -> None:
    about = ObjectReference(
        api_version="v1", kind="Pod", namespace="default", name="x" * 199 + "-" + "y" * 50, uid="cut"
    )
    async with connected(str(api)) as cluster:
        await tell(cluster, about, "Cut", "its name is long", warning=False)
        found = await cluster.list(EVENTS, "default", as_=dict[str, Any], fields="reason=Cut")
    assert [each["metadata"]["name"].partition(".")[0] for each in found] == ["x" * 199]


async def test_a_server_that_is_away_is_named(tmp_path: Path, server: ApiServer) -> None:
    nowhere = server.kubeconfig_of("admin", "127.0.0.1:1")
    async with connected(str(nowhere)) as cluster:
        with pytest.raises(Unreachable, match=r"list secrets: no answer from https://127.0.0.1:1: "):
            await cluster.list(SECRETS, as_=Secret)


async def test_what_a_netrc_says_is_shown_to_nobody(api: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("default login somebody password hidden\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with connected(str(api)) as cluster:
        assert await cluster.version() == (1, 35)


async def test_the_proxy_of_the_environment_is_taken_but_for_what_needs_none(
    api: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with connected(str(api)) as cluster:
        with pytest.raises(Unreachable):
            await cluster.version()
        monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
        assert await cluster.version() == (1, 35)


async def test_without_a_kubeconfig_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(NoCluster, match="set KUBECONFIG to the file that your kubectl uses"):
        async with connected():
            raise AssertionError("nobody is there to connect to")


async def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoCluster, match=str(tmp_path / "missing")):
        async with connected(str(tmp_path / "missing")):
            raise AssertionError("nobody is there to connect to")


async def test_an_unknown_context_is_named(api: Path) -> None:
    with pytest.raises(NoCluster, match="elsewhere"):
        async with connected(str(api), "elsewhere"):
            raise AssertionError("nobody is there to connect to")


async def test_a_pod_reads_its_token_again_when_it_is_refused(server: ApiServer, tmp_path: Path) -> None:
    roots = server.kubeconfig.parent / "api" / "apiserver.crt"
    (tmp_path / "ca.crt").write_bytes(roots.read_bytes())
    (tmp_path / "token").write_text("expired")
    host, _, port = server.address.rpartition(":")
    async with opened(InPod(host, port, tmp_path)) as connection:
        cluster = Cluster(connection)
        with pytest.raises(Forbidden):
            await cluster.version()
        (tmp_path / "token").write_text("admin\n")
        assert await cluster.version() == (1, 35)


async def test_a_pod_whose_token_is_away_for_a_moment_goes_on_with_the_last(server: ApiServer, tmp_path: Path) -> None:
    """kubelet replaces it, and whoever reads just then must not end for that."""
    roots = server.kubeconfig.parent / "api" / "apiserver.crt"
    (tmp_path / "ca.crt").write_bytes(roots.read_bytes())
    (tmp_path / "token").write_text("admin")
    host, _, port = server.address.rpartition(":")
    access = InPod(host, port, tmp_path)
    (tmp_path / "token").unlink()
    await access.renew()
    async with opened(access) as connection:
        assert await Cluster(connection).version() == (1, 35)


async def test_a_login_program_that_fails_later_is_a_refusal_like_any_other(server: ApiServer, tmp_path: Path) -> None:
    """What follows a cluster goes on trying; only who has never got there is told that there is none."""
    (tmp_path / "login").write_text(LOGIN.replace("touch again", "[ ! -e again ] || exit 3; touch again"))
    (tmp_path / "login").chmod(0o700)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./login"}}
    config = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [
            {"name": "c", "cluster": {"server": f"https://{server.address}", "insecure-skip-tls-verify": True}}
        ],
        "users": [{"name": "u", "user": user}],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    async with connected(str(tmp_path / "config")) as cluster:
        with pytest.raises(Forbidden, match=r"Unauthorized; login program \./login ended with code 3"):
            await cluster.version()


async def test_a_login_program_is_run_and_run_again_when_its_token_is_refused(
    server: ApiServer, tmp_path: Path
) -> None:
    """It grants a token that has expired, then a good one; and is told about the cluster if it wants to be."""
    program = tmp_path / "login"
    program.write_text(LOGIN)
    program.chmod(0o700)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./login", "provideClusterInfo": True}}
    cluster_at = {"server": f"https://{server.address}", "insecure-skip-tls-verify": True}
    config = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster_at}],
        "users": [{"name": "u", "user": user}],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    async with connected(str(tmp_path / "config")) as cluster:
        assert await cluster.version() == (1, 35)
    asked = json.loads((tmp_path / "asked").read_text())
    assert asked["spec"]["cluster"]["server"] == f"https://{server.address}"


async def test_a_server_that_the_pod_does_not_trust_is_not_spoken_to(server: ApiServer, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text(Authority().roots_pem.decode())
    (tmp_path / "token").write_text("admin")
    host, _, port = server.address.rpartition(":")
    async with opened(InPod(host, port, tmp_path)) as connection:
        with pytest.raises(Unreachable, match="certificate verify failed"):
            await Cluster(connection).version()


def test_a_pod_without_a_token_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(NoCluster, match="automountServiceAccountToken"):
        InPod("10.0.0.1", "443", tmp_path)

"""A port that kubectl forwards: opened, used, closed; and told in kubectl's words if it is not. kubectl is a script."""

import asyncio
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from osm.cli.kubernetes.cluster_options import ClusterOptions
from osm.cli.kubernetes.forward import forwarded
from osm.cli.kubernetes.sidecar import fetch, path_of
from osm.cli.output import CommandError
from tests.unit.cli.conftest import OnPath

Kubectl = Callable[[str], Path]


@pytest.fixture
def kubectl(tmp_path: Path, on_path: OnPath) -> Kubectl:
    """Put a `kubectl` of these shell lines first on the PATH; it notes its arguments and process in files here."""

    def write(lines: str) -> Path:
        on_path("kubectl", f'echo "$@" > {tmp_path}/arguments\necho $$ > {tmp_path}/pid\n{lines}')
        return tmp_path

    return write


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_the_port_that_kubectl_names_is_given_and_kubectl_ends_with_the_block(kubectl: Kubectl) -> None:
    notes = kubectl("echo 'Forwarding from 127.0.0.1:45678 -> 4222'\nexec sleep 60")
    async with forwarded(ClusterOptions(context="c"), "osm-system", "svc/osm-nats", 4222) as port:
        assert port == 45678
        pid = int((notes / "pid").read_text())
        assert is_running(pid)
    assert not is_running(pid)
    said = (notes / "arguments").read_text().split()
    assert said == [
        *("--context=c", "port-forward", "--namespace=osm-system", "svc/osm-nats", ":4222", "--address=127.0.0.1"),
    ]


async def test_kubectls_refusal_is_told_in_its_words(kubectl: Kubectl) -> None:
    kubectl("echo 'error: services \"osm-nats\" not found' >&2\nexit 1")
    with pytest.raises(CommandError, match=r'cannot forward a port of svc/osm-nats .*: services "osm-nats" not found'):
        async with forwarded(ClusterOptions(), "osm-system", "svc/osm-nats", 4222):
            pass


async def test_kubectl_ends_when_the_block_fails(kubectl: Kubectl) -> None:
    notes = kubectl("echo 'Forwarding from 127.0.0.1:45678 -> 4222'\nexec sleep 60")
    with pytest.raises(LookupError):
        async with forwarded(ClusterOptions(), "osm-system", "svc/osm-nats", 4222):
            raise LookupError
    assert not is_running(int((notes / "pid").read_text()))


async def test_a_port_that_is_lost_ends_what_goes_on_over_it(kubectl: Kubectl) -> None:
    noise = "head -c 200000 /dev/zero | tr '\\0' x >&2; echo >&2"  # more than a pipe holds
    kubectl(f"echo 'Forwarding from 127.0.0.1:45678 -> 4222'\n{noise}\necho 'error: lost connection to pod' >&2")
    with pytest.raises(CommandError, match=r"no longer forwards a port of svc/osm-nats .*: lost connection to pod"):
        async with forwarded(ClusterOptions(), "osm-system", "svc/osm-nats", 4222):
            await asyncio.sleep(30)


async def test_without_kubectl_it_is_said_where_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CommandError, match="kubectl is not on the PATH") as caught:
        async with forwarded(ClusterOptions(), "osm-system", "svc/osm-nats", 4222):
            pass
    assert "https://kubernetes.io" in caught.value.remedy


# Pages of a sidecar


class Page(http.server.BaseHTTPRequestHandler):
    """Serves one page, and refuses the rest as a sidecar does."""

    def do_GET(self) -> None:
        if self.path == "/garbled":
            self.wfile.write(b"this is no HTTP\r\n\r\n")
            return
        good = self.path == "/ready"
        self.send_response(200 if good else 404 if "resource=" in self.path else 403)
        self.end_headers()
        self.wfile.write(b"LIVE\n" if good else b"only GET of these is served here")

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def sidecar() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        serving.join()


def test_a_page_is_fetched_and_a_refusal_is_an_error(sidecar: str) -> None:
    assert fetch(f"{sidecar}/ready", "ready") == "LIVE\n"
    assert fetch(f"{sidecar}/config_dump?resource=x", "routes") == '{"configs": []}'
    with pytest.raises(CommandError, match="no answer from the sidecar"):
        fetch(f"{sidecar}/garbled", "garbled")
    with pytest.raises(CommandError, match="Envoy answered 403 to quitquitquit: only GET of these"):
        fetch(f"{sidecar}/quitquitquit", "quitquitquit")


@pytest.mark.parametrize(
    ("query", "names", "path"),
    [
        ("clusters", "", "/clusters?format=json"),
        ("server_info", "", "/server_info"),
        ("stats", "ssl", "/stats?usedonly&filter=ssl"),
        ("memory", "a b", "/memory?filter=a%20b"),
        ("stats?filter=a b", "", "/stats?filter=a%20b"),
        ("stats\nHost: x", "", "/stats%0AHost:%20x"),
    ],
)
def test_a_query_is_a_page_of_envoy(query: str, names: str, path: str) -> None:
    assert path_of(query, names) == path

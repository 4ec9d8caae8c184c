"""Requests to the session's API server as kubectl sends them: unknown fields refused, tables for people."""

import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import yaml

from osm.testing.kubernetes import ADMIN, ApiServer

CRDS = Path(__file__).parents[2] / "deploy" / "chart" / "crds"
APPLIED_WITHIN_S = 60.0
LOOK_EVERY_S = 0.05

Object = Mapping[str, Any]
T = TypeVar("T")


class Refused(Exception):
    """The server's words."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


def ask(
    server: ApiServer,
    method: str,
    path: str,
    body: Any = None,
    *,
    content: str = "application/json",
    accept: str = "application/json",
) -> Any:
    """Raises Refused."""
    trust_any = ssl.create_default_context()
    trust_any.check_hostname = False
    trust_any.verify_mode = ssl.CERT_NONE
    headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": content, "Accept": accept}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"https://{server.address}{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=APPLIED_WITHIN_S, context=trust_any) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")
        raise Refused(error.code, json.loads(said).get("message", said) if said.startswith("{") else said) from error


def eventually(look: Callable[[], T]) -> T:
    """What `look` returns, once it is refused no longer. Raises TimeoutError with the last refusal."""
    until = time.monotonic() + APPLIED_WITHIN_S
    while True:
        try:
            return look()
        except Refused as refused:
            if time.monotonic() > until:
                raise TimeoutError(str(refused)) from refused
            time.sleep(LOOK_EVERY_S)


class Kinds:
    """Where objects of every kind go, as the server itself says: of a new one, a moment after it serves it."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._known: dict[tuple[str, str], tuple[str, bool]] = {}

    def path(self, found: Object) -> str:
        """Raises TimeoutError if the server does not come to name the kind."""
        version, kind = found["apiVersion"], found["kind"]
        root = f"/api/{version}" if "/" not in version else f"/apis/{version}"
        if (version, kind) not in self._known:
            self._known[version, kind] = eventually(lambda: self._named(root, kind))
        plural, namespaced = self._known[version, kind]
        return f"{root}/namespaces/{found['metadata']['namespace']}/{plural}" if namespaced else f"{root}/{plural}"

    def _named(self, root: str, kind: str) -> tuple[str, bool]:
        for each in ask(self._server, "GET", root)["resources"]:
            if each["kind"] == kind and "/" not in each["name"]:
                return each["name"], each["namespaced"]
        raise Refused(404, f"{root} has no {kind}")


def check(server: ApiServer, kinds: Kinds, found: Object) -> Object:
    """What the server would make of it; nothing is kept. Raises Refused."""
    answer: Object = ask(server, "POST", f"{kinds.path(found)}?dryRun=All&fieldValidation=Strict", found)
    return answer


def create(server: ApiServer, kinds: Kinds, found: Object) -> Object:
    """Raises Refused."""
    answer: Object = ask(server, "POST", f"{kinds.path(found)}?fieldValidation=Strict", found)
    return answer


def make_namespaces(server: ApiServer, names: Iterable[str]) -> None:
    """Those that are there stay."""
    for name in sorted(set(names)):
        _create_once(server, "/api/v1/namespaces", {"metadata": {"name": name}})


def install_crds(server: ApiServer) -> None:
    """All of the chart's, served when this returns. Those that are there stay."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    names = []
    for file in sorted(CRDS.glob("*.yaml")):
        body = yaml.safe_load(file.read_text())
        names.append(body["metadata"]["name"])
        _create_once(server, path, body)
    for name in names:
        until_served(server, f"{path}/{name}")


def until_served(server: ApiServer, path: str) -> None:
    """Until the definition at `path` is in force. It says so a moment before its objects are served: so they are asked
    for too. Raises TimeoutError with the server's reasons."""
    for objects in eventually(partial(_established, server, path)):
        eventually(partial(ask, server, "GET", f"{objects}?limit=1"))


def _established(server: ApiServer, path: str) -> list[str]:
    """Where its objects are, by version. Raises Refused."""
    found = ask(server, "GET", path)
    conditions = found.get("status", {}).get("conditions", [])
    assert not [each for each in conditions if each["type"] == "NonStructuralSchema"]
    if not {"Established", "NamesAccepted"} <= {each["type"] for each in conditions if each["status"] == "True"}:
        raise Refused(404, f"{path}: {conditions}")
    spec = found["spec"]
    versions = [each["name"] for each in spec["versions"] if each["served"]]
    return [f"/apis/{spec['group']}/{version}/{spec['names']['plural']}" for version in versions]


def _create_once(server: ApiServer, path: str, body: Object) -> None:
    try:
        ask(server, "POST", path, body)
    except Refused as refused:
        if refused.status != 409:
            raise

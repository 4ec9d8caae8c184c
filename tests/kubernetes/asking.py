"""Requests to the session's API server as kubectl sends them: unknown fields refused, tables for people."""

import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from osm.testing.kubernetes import ADMIN, ApiServer

CRDS = Path(__file__).parents[2] / "deploy" / "chart" / "crds"
APPLIED_WITHIN_S = 20.0
LOOK_EVERY_S = 0.05

Object = Mapping[str, Any]


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


class Kinds:
    """Where objects of every kind go, as the server itself says."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._known: dict[str, dict[str, tuple[str, bool]]] = {}

    def path(self, found: Object) -> str:
        version = found["apiVersion"]
        root = f"/api/{version}" if "/" not in version else f"/apis/{version}"
        if version not in self._known:
            listed = ask(self._server, "GET", root)["resources"]
            self._known[version] = {
                each["kind"]: (each["name"], each["namespaced"]) for each in listed if "/" not in each["name"]
            }
        plural, namespaced = self._known[version][found["kind"]]
        return f"{root}/namespaces/{found['metadata']['namespace']}/{plural}" if namespaced else f"{root}/{plural}"


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
    """Raises TimeoutError with the server's reasons."""
    conditions: list[Object] = []
    until = time.monotonic() + APPLIED_WITHIN_S
    while time.monotonic() < until:
        conditions = ask(server, "GET", path).get("status", {}).get("conditions", [])
        assert not [each for each in conditions if each["type"] == "NonStructuralSchema"]
        if {"Established", "NamesAccepted"} <= {each["type"] for each in conditions if each["status"] == "True"}:
            return
        time.sleep(LOOK_EVERY_S)
    raise TimeoutError(f"{path}: {conditions}")


def _create_once(server: ApiServer, path: str, body: Object) -> None:
    try:
        ask(server, "POST", path, body)
    except Refused as refused:
        if refused.status != 409:
            raise

"""The bookstore's apps in a cluster, asked at their own ports, past their sidecars."""

import json
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import msgspec

from osm.cli.demo.shop import BUY, Burst
from tests.cluster.forward import Forward
from tests.cluster.node import ROOT, Cluster, Failed, eventually

MANIFESTS = ROOT / "demo/manifests"
NAMESPACES = ("bookstore", "bookbuyer", "bookthief", "bookwarehouse")
APPS = {
    "bookbuyer": "bookbuyer",
    "bookstore-v1": "bookstore",
    "bookstore-v2": "bookstore",
    "bookthief": "bookthief",
    "bookwarehouse": "bookwarehouse",
}
"""Deployment → namespace."""
PORT = 14001
CHANGED_WITHIN_S = 180.0
"""Of a change that is live in well under a second: only what never comes is to end a test."""


class Bookshop:
    """The apps. Ports are forwarded when they are first asked for, until the context ends or pods are replaced."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._forwards: dict[str, Forward] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.forget()

    def forget(self) -> None:
        """End what leads to pods that are not there any more."""
        for forward in self._forwards.values():
            forward.close()
        self._forwards.clear()

    def restart(self) -> None:
        """New pods for all apps, as `kubectl rollout restart` makes them; until they are ready and the old ones gone.

        Without a mesh, a request that reaches an old one while it ends is lost. Raises Failed.
        """
        self.forget()
        for namespace in NAMESPACES:
            self._cluster.kubectl("rollout", "restart", "deployment", f"--namespace={namespace}")
        self.ready()
        eventually(
            lambda: not any("deletionTimestamp" in pod["metadata"] for pod in self._all_pods()), "the end of old pods"
        )

    def ready(self) -> None:
        """Wait until every app has its newest pod ready."""
        for app, namespace in APPS.items():
            self._cluster.rolled_out(f"deployment/{app}", namespace)

    def pods(self) -> dict[str, dict[str, Any]]:
        """App → its pod, of those that are not on their way out. Raises Failed."""
        staying = [pod for pod in self._all_pods() if "deletionTimestamp" not in pod["metadata"]]
        named = {
            app: [
                pod
                for pod in staying
                if re.fullmatch(rf"{app}-[0-9a-f]+-\w+", pod["metadata"]["name"])
                and pod["metadata"]["namespace"] == namespace
            ]
            for app, namespace in APPS.items()
        }
        if wrong := [app for app, pods in named.items() if len(pods) != 1]:
            raise Failed(f"not one pod each: {', '.join(wrong)}")
        return {app: pods[0] for app, pods in named.items()}

    def _all_pods(self) -> list[dict[str, Any]]:
        """Of the apps' namespaces, those on their way out included."""
        found = json.loads(self._cluster.kubectl("get", "pods", "--all-namespaces", "--output=json"))["items"]
        return [pod for pod in found if pod["metadata"]["namespace"] in NAMESPACES]

    def raw(self, app: str) -> dict[str, Any]:
        """What an app says of itself."""
        return self._ask(app, "/raw")

    def burst(self, app: str, requests: int, path: str = BUY, concurrency: int = 16) -> Burst:
        """Let a shopper send requests now, and what came of them."""
        query = urllib.parse.urlencode({"n": requests, "concurrency": concurrency, "path": path})
        return msgspec.convert(self._ask(app, f"/burst?{query}", b""), Burst)

    def first(self, app: str, told: Callable[[Burst], bool], requests: int = 1) -> float:
        """Let a shopper ask, so often at a time, until the answer is as told; when that was (monotonic). Raises Failed.

        Once one request is answered as told, another may still meet a sidecar that has not heard of the change.
        """
        last = time.monotonic() + CHANGED_WITHIN_S
        while time.monotonic() < last:
            found = self.burst(app, requests)
            if told(found):
                return time.monotonic()
        raise Failed(f"{app} was still not answered otherwise after {CHANGED_WITHIN_S:g} s: {found}")

    def _ask(self, app: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port(app)}{path}", body, timeout=90) as answer:
            return dict(json.loads(answer.read()))

    def _port(self, app: str) -> int:
        if app in self._forwards and not self._forwards[app].lasts():
            self._forwards.pop(app).close()
        if app not in self._forwards:
            where = f"--namespace={APPS.get(app, app)}"
            self._forwards[app] = Forward(
                self._cluster, "port-forward", where, f"deployment/{app}", f":{PORT}", "--address=127.0.0.1"
            )
        return self._forwards[app].port


def sold(burst: Burst) -> bool:
    return burst.succeeded == burst.requests


def turned_away(burst: Burst) -> bool:
    return burst.turned_away == burst.requests


def denied(burst: Burst) -> bool:
    """Nothing was served: on connections of before a sidecar says 503 for some seconds, new ones are refused."""
    return not burst.succeeded


def served_by(store: str) -> Callable[[Burst], bool]:
    return lambda burst: bool(burst.identities.get(store))


OUTSIDE = "outside"
OUTSIDE_APPS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: store}
spec:
  selector: {matchLabels: {app: store}}
  template:
    metadata: {labels: {app: store}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: store
          image: openservicemesh/demo:latest
          imagePullPolicy: IfNotPresent
          command: [python3, -m, demo.bookstore]
          readinessProbe: {httpGet: {path: /readiness, port: 14001}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: store}
spec: {selector: {app: store}, ports: [{port: 14001}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: outside}
spec:
  selector: {matchLabels: {app: outside}}
  template:
    metadata: {labels: {app: outside}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: buyer
          image: openservicemesh/demo:latest
          imagePullPolicy: IfNotPresent
          command: [python3, -m, demo.bookbuyer]
          env: [{name: BOOKSTORE_URL, value: "http://store:14001"}, {name: RATE, value: "0"}]
          readinessProbe: {httpGet: {path: /healthz, port: 14001}, periodSeconds: 1}
"""
"""A buyer and a store that no mesh knows."""

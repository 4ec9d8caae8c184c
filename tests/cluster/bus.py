"""What passes over the bus of a cluster, and when: to tell who writes, how soon, and that nothing is lost."""

import http.client
import json
import re
import subprocess
import threading
import time
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.cluster.forward import Forward
from tests.cluster.node import Cluster, Failed

SEEN_WITHIN_S = 180.0
EVERY_S = 0.1
FIRST = 20_000
"""A beat's number is a port too, so it begins where nothing listens."""


class Seen(NamedTuple):
    """A document, and when it came (seconds since the epoch)."""

    at_s: float
    key: str
    body: Any


def revisions(cluster: Cluster, *buckets: str) -> dict[str, int]:
    """At which revision each document of these buckets was written. Raises Failed."""
    said = cluster.command(
        "osm", "bus", "watch", *buckets, "--once", "--output=json", f"--kubeconfig={cluster.kubeconfig}"
    )
    told = [json.loads(line) for line in said.splitlines()]
    return {f"{each['bucket']} {each['key']}": each["revision"] for each in told if not each["deleted"]}


class Watch:
    """All that is written to a bucket while the context is open, from what it holds then on."""

    def __init__(self, cluster: Cluster, bucket: str) -> None:
        self._cluster = cluster
        self._bucket = bucket
        self._seen: list[Seen] = []

    def __enter__(self) -> Self:
        command = ["osm", "bus", "watch", self._bucket, "--output=json", f"--kubeconfig={self._cluster.kubeconfig}"]
        self._process = subprocess.Popen(
            command, env=dict(self._cluster.environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        try:
            self.first(lambda _: True, "anything")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._reader.join()
        self._process.communicate()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            if not line.endswith("\n"):  # its end has cut it off
                return
            told = json.loads(line)
            self._seen.append(Seen(time.time(), told["key"], told["body"]))

    def seen(self) -> list[Seen]:
        return list(self._seen)

    def first(self, wanted: Any, what: str, within_s: float = SEEN_WITHIN_S) -> Seen:
        """The first document that is wanted, waited for. Raises Failed."""
        last, looked = time.monotonic() + within_s, 0
        while time.monotonic() < last:
            ended = not self._reader.is_alive()
            for seen in self._seen[looked:]:
                looked += 1
                if wanted(seen):
                    return seen
            if ended:
                assert self._process.stderr
                raise Failed(f"bucket {self._bucket}: the watch ended before {what}: {self._process.stderr.read()}")
            time.sleep(0.01)
        raise Failed(f"bucket {self._bucket}: {what} was not seen within {within_s:g} s")


@dataclass(frozen=True)
class Object:
    """What beats: an object that its writer turns into one document. `spec` makes it of the beat's number."""

    manifest: str
    path: str
    spec: str
    key: str


BEATS = {
    "endpoints": Object(
        manifest="""
apiVersion: v1
kind: Service
metadata: {name: beat}
spec: {selector: {app: beat}, ports: [{name: http, port: 20000}]}
""",
        path="/api/v1/namespaces/bookstore/services/beat",
        spec='{"ports": [{"name": "http", "port": NUMBER}]}',
        key="service.kubernetes.bookstore.beat",
    ),
    "meshspec": Object(
        manifest="""
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: beat}
spec: {matches: [{name: beat, pathRegex: /20000, methods: [GET]}]}
""",
        path="/apis/specs.smi-spec.io/v1alpha4/namespaces/bookstore/httproutegroups/beat",
        spec='{"matches": [{"name": "beat", "pathRegex": "/NUMBER", "methods": ["GET"]}]}',
        key="http-route-group.bookstore.beat",
    ),
}
"""Bucket → the object of the user's that beats in it."""


class Heart:
    """Changes one object ten times a second while the context is open, and listens on the bus for each change."""

    def __init__(self, cluster: Cluster, bucket: str) -> None:
        self._cluster = cluster
        self._object = BEATS[bucket]
        self._watch = Watch(cluster, bucket)
        self._ending = threading.Event()
        self._number = FIRST
        self._why = ""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._cluster.apply(self._object.manifest, "bookstore")
            stack.callback(
                self._cluster.kubectl, "delete", "--namespace=bookstore", "--filename=-", said=self._object.manifest
            )
            stack.enter_context(self._watch)
            proxy = Forward(self._cluster, "proxy", "--port=0")
            stack.callback(proxy.close)
            self._server = f"http://127.0.0.1:{proxy.port}"
            self._beating = threading.Thread(target=self._beat)
            self._beating.start()
            stack.callback(self._end)
            self.first_after(time.time())
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def _end(self) -> None:
        self._ending.set()
        self._beating.join()

    def _beat(self) -> None:
        while not self._ending.wait(EVERY_S):
            body = json.dumps({"spec": json.loads(self._object.spec.replace("NUMBER", str(self._number + 1)))})
            request = urllib.request.Request(
                self._server + self._object.path,
                body.encode(),
                {"Content-Type": "application/merge-patch+json"},
                method="PATCH",
            )
            # an API server that is busy or away changes nothing: the next beat tries the same number again
            with suppress(OSError, http.client.HTTPException), urllib.request.urlopen(request, timeout=60) as answer:
                answer.read()
                self._number += 1

    def heard(self) -> list[tuple[float, int]]:
        """Each beat that came over the bus: when, and its number."""
        return [(seen.at_s, _number(seen.body)) for seen in self._watch.seen() if seen.key == self._object.key]

    def first_after(self, at_s: float) -> Seen:
        return self._watch.first(lambda seen: seen.key == self._object.key and seen.at_s > at_s, "a beat")

    def first(self, wanted: Any, what: str) -> Seen:
        """The first document of any object that is wanted. Raises Failed."""
        return self._watch.first(wanted, what)

    def stop(self) -> None:
        """No more beats; waits until the last has come over the bus, and none came late. Raises Failed."""
        self._end()
        self._watch.first(
            lambda seen: seen.key == self._object.key and _number(seen.body) == self._number, f"beat {self._number}"
        )
        numbers = [number for _, number in self.heard()]
        assert numbers == sorted(numbers), "an older picture was written after a newer one"


def _number(body: Mapping[str, Any]) -> int:
    found = re.search(r'(?:"port": |"/)(2\d{4})', json.dumps(body))
    return int(found[1]) if found else FIRST

"""A mesh on a cluster, and what its apps find when they call each other."""

import base64
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster.conformance.workloads import Object
from tests.cluster.node import Cluster, Failed

PROGRAMS = Path(__file__).parent / "programs"
HOME = "osm-system"
INSTALLED_WITHIN_S = 330.0
CHANGED_WITHIN_S = 180
"""A change is live in well under a second; a machine that is busy with other things takes its time."""

NO_WAY = "refused|closed"
"""What a caller finds where its sidecar lets nothing through."""


@dataclass
class Stage:
    """`clients`: the pods of Deployment `client`."""

    cluster: Cluster
    clients: tuple[str, ...] = ()
    first_config: Object = field(default_factory=dict)

    def osm(self, *arguments: str) -> str:
        """What it prints of this mesh, whatever else runs on this machine. Raises Failed."""
        config = f"--kubeconfig={self.cluster.kubeconfig}"
        return self.cluster.command("osm", *arguments, config, within_s=CHANGED_WITHIN_S + 60)

    def in_force(self, kind: str, name: str) -> None:
        """Wait until every sidecar that it is about has acknowledged it. Raises Failed."""
        self.osm("wait", kind, name, f"--timeout={CHANGED_WITHIN_S}s")

    def run(self, pod: str, program: str, *arguments: object, container: str = "app") -> str:
        """What a program prints in a pod, `NAMESPACE/NAME`. Raises Failed."""
        namespace, name = pod.split("/")
        return self.cluster.kubectl(
            *("exec", "--stdin", f"--namespace={namespace}", name, f"--container={container}", "--"),
            *("python3", "-", *map(str, arguments)),
            said=(PROGRAMS / program).read_text(),
            within_s=CHANGED_WITHIN_S + 60,
        )

    def ask(self, pod: str, url: str, times: int = 1) -> list[Object]:
        """What came of each request: its `word`, and what an HTTP app says of it."""
        return list(json.loads(self.run(pod, "ask.py", url, times)))

    def becomes(self, pod: str, url: str, words: str, times: int = 3, *, certificate: str = "") -> list[Object]:
        """Ask until so many answers in a row were one of the words. Shows the `certificate` (`pair`). Raises Failed."""
        shown = (certificate,) if certificate else ()
        found = list(json.loads(self.run(pod, "ask.py", url, times, words, CHANGED_WITHIN_S, *shown)))
        if said := {each["word"] for each in found} - set(words.split("|")):
            raise Failed(f"{pod} asks {url}: {', '.join(sorted(said))}, not {words}")
        return found

    def pair(self, namespace: str, name: str) -> str:
        """Certificate and key of a Secret, once it is there, as programs take them. Raises Failed."""
        there = ("--for=create", f"secret/{name}", f"--namespace={namespace}", f"--timeout={CHANGED_WITHIN_S}s")
        self.cluster.kubectl("wait", *there, within_s=CHANGED_WITHIN_S + 60)
        data = json.loads(self.cluster.kubectl("get", "secret", name, f"--namespace={namespace}", "-o", "json"))["data"]
        return base64.b64encode(b"".join(base64.b64decode(data[key]) for key in ("tls.crt", "tls.key"))).decode()

    def answering(self, pods: Sequence[str], url: str, words: str, times: int) -> set[str]:
        """Who answers when all these pods ask at once. Raises Failed."""
        with ThreadPoolExecutor(len(pods)) as pool:
            found = pool.map(lambda pod: self.becomes(pod, url, words, times), pods)
            return {each["by"] for one in found for each in one}

    def stats(self, pod: str) -> dict[str, int]:
        """The counters of a pod's sidecar that are not zero. Raises Failed."""
        namespace, name = pod.split("/")
        said = self.osm("proxy", "get", "stats", name, f"--namespace={namespace}")
        lines = (line.rpartition(": ") for line in said.splitlines())
        return {name: int(value) for name, _, value in lines if value.isdigit() and value != "0"}

    @contextmanager
    def policies(self, namespace: str, *objects: Object) -> Iterator[None]:
        """They are there while the block runs. Raises Failed."""
        said = as_list(objects)
        try:
            self.cluster.apply(said, namespace)
            yield
        finally:
            self.cluster.kubectl("delete", f"--namespace={namespace}", "--ignore-not-found", "-f", "-", said=said)

    @contextmanager
    def configured(self, part: str, **fields: Any) -> Iterator[None]:
        """These fields of a part of the MeshConfig's spec have other values while the block runs. Raises Failed."""
        before = self.config()["spec"][part]
        try:
            self.configure(part, fields)
            yield
        finally:
            self.configure(part, {name: before.get(name) for name in fields})

    def config(self) -> Object:
        return dict(
            json.loads(
                self.cluster.kubectl("get", "meshconfig", "osm-mesh-config", f"--namespace={HOME}", "-o", "json")
            )
        )

    def configure(self, part: str, fields: Object) -> None:
        patch = json.dumps({"spec": {part: fields}})
        self.cluster.kubectl(
            *("patch", "meshconfig", "osm-mesh-config", f"--namespace={HOME}", "--type=merge", f"--patch={patch}")
        )

    def made(self, namespace: str, pod: Object) -> Object:
        """The pod as the API server would have it, with what the webhook adds; nothing is made. Raises Failed."""
        command = ("create", "--dry-run=server", f"--namespace={namespace}", "--output=json", "-f", "-")
        return dict(json.loads(self.cluster.kubectl(*command, said=json.dumps(pod))))


def as_list(objects: Sequence[Object]) -> str:
    """What kubectl takes for several objects."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})

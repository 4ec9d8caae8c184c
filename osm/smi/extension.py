"""ExtensionService (OSM v1alpha1 and v1alpha2): a server outside of the mesh that sidecars themselves speak to.

Of those that OSM meant them for, there are collectors of access logs, which a Telemetry names. They speak gRPC, in the
clear: HTTP/1 is refused, where OSM made a cluster that could never work.
"""

from collections.abc import Iterator
from typing import Literal

from osm.contracts.names import Port
from osm.contracts.problem import Problem
from osm.contracts.telemetry import ExtensionService
from osm.manifests import RawDocument
from osm.manifests.convert import Fields
from osm.manifests.wording import shown
from osm.smi.authorization import is_host
from osm.smi.durations import wait_problems, whole_ms
from osm.smi.shape import Object


class Spec(Fields, frozen=True, kw_only=True):
    """What an ExtensionService says."""

    host: str
    port: Port
    protocol: Literal["http1", "http2", "h2c"] | None = None
    connect_timeout: str | None = None


class Document(Object, frozen=True, kw_only=True):
    """An ExtensionService as written."""

    spec: Spec


def extension_service(raw: RawDocument, spec: Spec) -> tuple[ExtensionService, tuple[Problem, ...]]:
    """The contract; to be used only if no error is among the problems."""
    found = ExtensionService(
        namespace=raw.namespace,
        name=raw.name,
        host=spec.host,
        port=spec.port,
        connect_timeout_ms=whole_ms(spec.connect_timeout),
    )
    return found, tuple(_problems(raw, spec))


def _problems(raw: RawDocument, spec: Spec) -> Iterator[Problem]:
    if not is_host(spec.host):
        what = f"expected a host name or an IP address, without scheme and port, found {shown(spec.host)}"
        yield raw.problem("spec.host", what)
    if spec.protocol == "http1":
        yield raw.problem("spec.protocol", 'expected http2 or h2c, found "http1": collectors of logs speak gRPC')
    yield from wait_problems(raw, "spec.connectTimeout", spec.connect_timeout)

"""ExtensionService: what it means, and what could never be reached."""

import pytest

from osm.contracts.telemetry import ExtensionService
from tests.unit.smi.policy_text import parsed, sentences

API = "config.openservicemesh.io/v1alpha2"


@pytest.mark.parametrize("api", [API, "config.openservicemesh.io/v1alpha1"])
@pytest.mark.parametrize("protocol", ["", ", protocol: http2", ", protocol: h2c"])
def test_it_is_a_host_and_a_port(api: str, protocol: str) -> None:
    found = parsed("ExtensionService", f"{{host: otel.obs, port: 4317{protocol}}}", api=api)
    assert found.problems == ()
    assert found.object == ExtensionService(namespace="shop", name="it", host="otel.obs", port=4317)


def test_a_time_to_connect_is_kept() -> None:
    found = parsed("ExtensionService", "{host: 10.0.0.1, port: 4317, connectTimeout: 250ms}", api=API)
    assert isinstance(found.object, ExtensionService)
    assert found.object.connect_timeout_ms == 250


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ("{host: 'http://otel', port: 4317}", "spec.host"),
        ("{host: '', port: 4317}", "spec.host"),
        ("{host: otel, port: 0}", "spec.port"),
        ("{host: otel}", "spec.port"),
        ("{host: otel, port: 4317, protocol: http1}", "spec.protocol"),
        ("{host: otel, port: 4317, protocol: tcp}", "spec.protocol"),
        ("{host: otel, port: 4317, connectTimeout: soon}", "spec.connectTimeout"),
        ("{host: otel, port: 4317, connectTimeout: 0s}", "spec.connectTimeout"),
    ],
)
def test_what_could_never_be_reached_is_a_mistake(spec: str, field: str) -> None:
    found = parsed("ExtensionService", spec, api=API)
    assert found.object is None
    assert [each.field for each in found.problems] == [field]


def test_http_1_is_refused_with_what_works() -> None:
    (sentence,) = sentences(parsed("ExtensionService", "host: otel\nport: 4317\nprotocol: http1", api=API))
    assert sentence.endswith('expected http2 or h2c, found "http1": collectors of logs speak gRPC')

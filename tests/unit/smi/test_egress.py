"""Egress: what it says, what of it changes nothing, and what is a mistake."""

import pytest

from osm.contracts.egress import Egress, EgressPort
from osm.contracts.names import Identity
from osm.manifests import Parsed
from osm.manifests.yaml import read
from osm.smi import AnyPolicy, parse

API = "policy.openservicemesh.io/v1alpha1"
SOURCE = "[{kind: ServiceAccount, name: web, namespace: front}]"
GROUP = "{apiGroup: specs.smi-spec.io/v1alpha4, kind: HTTPRouteGroup, name: reads}"
SETTING = f"{{apiGroup: {API}, kind: UpstreamTrafficSetting, name: few}}"


def parsed(spec: str, sources: str = SOURCE) -> Parsed[AnyPolicy]:
    text = f"apiVersion: {API}\nkind: Egress\nmetadata: {{name: out, namespace: shop}}\nspec:\n  sources: {sources}\n"
    reading = read(text + "".join(f"  {line}\n" for line in spec.splitlines()), "f.yaml")
    assert reading.problems == ()
    return parse(reading.documents[0])


def ports(*words: str) -> str:
    """`80/http`, as YAML."""
    pairs = (word.split("/") for word in words)
    return f"ports: [{', '.join(f'{{number: {number}, protocol: {protocol}}}' for number, protocol in pairs)}]"


def sentences(found: Parsed[AnyPolicy]) -> list[str]:
    return [f"{each.severity} {each.field}: {each.what}" for each in found.problems]


def test_hosts_ranges_and_route_groups_are_read() -> None:
    spec = f"{ports('443/https', '80/HTTP')}\nhosts: [API.example.com, '*.example.org']\nmatches: [{GROUP}]"
    found = parsed(
        spec, "[{kind: ServiceAccount, name: web, namespace: front}, {kind: ServiceAccount, name: a, namespace: b}]"
    )
    assert found.problems == ()
    assert found.object == Egress(
        namespace="shop",
        name="out",
        sources=(Identity("b", "a"), Identity("front", "web")),
        ports=(EgressPort(number=80, protocol="http"), EgressPort(number=443, protocol="https")),
        hosts=("*.example.org", "api.example.com"),
        route_groups=("reads",),
    )


def test_ranges_are_read_as_networks_and_none_is_any_address() -> None:
    found = parsed(f"{ports('5432/tcp', '3306/tcp-server-first')}\nipAddresses: [10.1.2.3/8, 192.0.2.7/32]")
    assert found.problems == ()
    assert isinstance(found.object, Egress)
    assert found.object.ranges == ("10.0.0.0/8", "192.0.2.7/32")
    found = parsed(ports("5432/tcp"))
    assert found.problems == ()
    assert isinstance(found.object, Egress)
    assert found.object.ranges == ()


def test_a_setting_is_kept_and_said_to_have_no_effect() -> None:
    found = parsed(f"{ports('5432/tcp')}\nmatches: [{SETTING}]")
    assert sentences(found) == ["warning spec.matches[0]: an UpstreamTrafficSetting has no effect on egress yet"]
    assert isinstance(found.object, Egress)
    assert found.object.settings == "few"


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (
            f"{ports('80/http')}\nhosts: [a.example]\nipAddresses: [10.0.0.0/8]",
            "spec.ipAddresses: ranges have no effect over http: a request goes to the address that its host has in "
            "the DNS",
        ),
        (
            f"{ports('5432/tcp')}\nhosts: [db.example]",
            "spec.hosts: hosts have no effect over tcp: any address is reached, whatever it is called",
        ),
        (
            f"{ports('5432/tcp')}\nhosts: [db.example]\nipAddresses: [10.0.0.0/8]",
            "spec.hosts: hosts have no effect over tcp: an address in spec.ipAddresses is reached, "
            "whatever it is called",
        ),
        (
            f"{ports('5432/tcp')}\nipAddresses: ['2001:db8::/32']",
            "spec.ipAddresses[0]: 2001:db8::/32 changes nothing: only IPv4 is redirected to the sidecar",
        ),
        (
            f"{ports('443/https')}\nhosts: [192.0.2.1]",
            "spec.hosts[0]: TLS asks for no server name where 192.0.2.1 is called by its address: "
            "use protocol tcp for it",
        ),
        (
            f"{ports('5432/tcp')}\nmatches: [{GROUP}]",
            "spec.matches[0]: HTTPRouteGroup reads has no effect: none of spec.ports is http",
        ),
    ],
)
def test_what_changes_nothing_is_warned_of(spec: str, sentence: str) -> None:
    found = parsed(spec)
    assert sentences(found) == [f"warning {sentence}"]
    assert found.object is not None


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("ports: []", "spec.ports: expected at least one port, found none: nothing would be reached"),
        (
            ports("80/ftp"),
            'spec.ports[0].protocol: expected one of http, https, tcp, tcp-server-first, found "ftp"',
        ),
        (
            ports("443/https"),
            "spec.ports[0].protocol: port 443 is https, which is allowed by host, and spec.hosts is empty; "
            "for any host at an address use protocol tcp",
        ),
        (
            ports("0/tcp"),
            "spec.ports[0].number: expected a whole number >= 1, found 0",
        ),
        (
            ports("15001/tcp"),
            "spec.ports[0].number: 15001 is the sidecar's own port and leads nowhere",
        ),
        (
            ports("81/tcp", "81/tcp"),
            'spec.ports[1]: "81/tcp" is there twice, first as spec.ports[0] at line 6',
        ),
        *(
            (
                f"{ports('80/http')}\nhosts: ['{host}']",
                f'spec.hosts[0]: expected a host name such as api.example.com, or *.example.com, found "{host}"',
            )
            for host in (
                "*",
                "*.",
                "a.*.example",
                "a.example:80",
                "http://a.example",
                "a..example",
                "-a.example",
                "::1",
                "",
            )
        ),
        (
            f"{ports('80/http')}\nhosts: [a.example, A.example]",
            'spec.hosts[1]: "a.example" is there twice, first as spec.hosts[0] at line 7',
        ),
        *(
            (
                f"{ports('81/tcp')}\nipAddresses: ['{given}']",
                f'spec.ipAddresses[0]: expected an address range such as 10.0.0.0/8, found "{given}"',
            )
            for given in ("10.0.0.1", "10.0.0.0/33", "fe80::%eth0/64", "a.example/8")
        ),
        (
            f"{ports('81/tcp')}\nmatches: [{{kind: TCPRoute, name: it}}]",
            'spec.matches[0].kind: expected one of HTTPRouteGroup, UpstreamTrafficSetting, found "TCPRoute"',
        ),
        (
            f"{ports('81/tcp')}\nmatches: [{{kind: HTTPRouteGroup, name: it, apiGroup: specs.example}}]",
            'spec.matches[0].apiGroup: HTTPRouteGroup is of specs.smi-spec.io/v1alpha4, found "specs.example"',
        ),
        (
            f"{ports('81/tcp')}\nmatches: [{SETTING}, {SETTING}]",
            "spec.matches[1]: expected at most one UpstreamTrafficSetting",
        ),
    ],
)
def test_a_mistake_is_told_and_lets_nobody_out(spec: str, sentence: str) -> None:
    found = parsed(spec)
    assert f"error {sentence}" in sentences(found)
    assert found.object is None


@pytest.mark.parametrize(
    ("sources", "sentence"),
    [
        ("[]", "spec.sources: expected at least one source, found none: nobody would be let out"),
        (
            "[{kind: Service, name: a, namespace: b}]",
            'spec.sources[0].kind: expected ServiceAccount, found "Service"',
        ),
        ("[{kind: ServiceAccount, name: a}]", "spec.sources[0].namespace: this field is required and not there"),
    ],
)
def test_sources_are_accounts_of_any_namespace_that_is_named(sources: str, sentence: str) -> None:
    found = parsed(ports("81/tcp"), sources)
    assert found.object is None
    assert f"error {sentence}" in sentences(found)

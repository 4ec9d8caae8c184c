import pytest
from hypothesis import given
from hypothesis import strategies as st

from osm.contracts.names import Address
from osm.manifests.pods import EnvSource, EnvVar, FieldRef
from services.local.environment import Facts, expand, inherited, platform, resolve

FACTS = Facts(
    name="shop-0",
    namespace="town",
    account="keeper",
    labels={"app": "shop"},
    annotations={},
    app_host="127.9.0.2",
    node="laptop",
)


@pytest.mark.parametrize(
    ("text", "expanded", "missing"),
    [
        ("$(A)", "1", []),
        ("x$(A)y$(B)", "x1y2", []),
        ("$$(A)", "$(A)", []),
        ("$$$(A)", "$1", []),
        ("$(C)", "$(C)", ["C"]),
        ("$A", "$A", []),
        ("$(A", "$(A", []),
        ("100$", "100$", []),
        ("$()", "$()", [""]),
    ],
)
def test_references_are_expanded_as_kubernetes_does(text, expanded, missing):
    assert expand(text, {"A": "1", "B": "2"}) == (expanded, missing)


@given(st.text(alphabet="ab c()"))
def test_text_without_a_dollar_stays_as_it_is(text):
    assert expand(text, {"a": "1"}) == (text, [])


def test_a_variable_may_refer_to_those_before_it_and_to_the_platforms():
    variables = (
        EnvVar(name="LATE", value="$(EARLY)"),
        EnvVar(name="EARLY", value="$(OSM_BIND_HOST)"),
        EnvVar(name="NEXT", value="$(EARLY)!"),
    )
    found = resolve(variables, {"OSM_BIND_HOST": "127.9.0.2"}, FACTS)
    assert found.own == {"LATE": "$(EARLY)", "EARLY": "127.9.0.2", "NEXT": "127.9.0.2!"}
    assert found.dangling == ((0, "EARLY"),)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "shop-0"),
        ("metadata.namespace", "town"),
        ("metadata.labels['app']", "shop"),
        ("metadata.annotations['none']", ""),
        ("status.podIP", "127.9.0.2"),
        ("spec.serviceAccountName", "keeper"),
        ("spec.nodeName", "laptop"),
    ],
)
def test_the_downward_api_is_told(path, value):
    variable = EnvVar(name="X", value_from=EnvSource(field_ref=FieldRef(field_path=path)))
    assert resolve((variable,), {}, FACTS).own == {"X": value}


def test_the_platform_tells_proxy_binding_and_upstreams():
    told = platform(FACTS, Address("127.9.0.3", 15001), "127.9.0.3", (8080,), {("town", "my-depot", 80): 20123})
    assert told["HTTP_PROXY"] == told["http_proxy"] == "http://127.9.0.3:15001"
    assert "127.9.0.2" in told["NO_PROXY"].split(",")
    assert (told["OSM_BIND_HOST"], told["OSM_BIND_PORT_8080"]) == ("127.9.0.2", "8080")
    assert told["OSM_UPSTREAM_TOWN_MY_DEPOT_80"] == "127.9.0.3:20123"


def test_nothing_else_of_the_agents_environment_is_inherited():
    machine = {
        "PATH": "/bin",
        "HOME": "/home/me",
        "LC_ALL": "C",
        "AWS_SECRET": "x",
        "PYTHONPATH": "/src",
        "OSM_BUS": "y",
    }
    assert inherited(machine, "/venv/bin") == {"PATH": "/venv/bin:/bin", "HOME": "/home/me", "LC_ALL": "C"}

"""What `osm policy check` says of the Services that a folder's policies name."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from osm.cli.policy import app, judged

SPLIT = """\
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {name: s, namespace: shop}
spec:
  service: web
  backends:
    - {service: web-v1, weight: 1}
    - {service: web-v2, weight: 1}
---
"""
INGRESS = """\
apiVersion: policy.openservicemesh.io/v1alpha1
kind: IngressBackend
metadata: {name: i, namespace: shop}
spec:
  backends: [{name: wbe, port: {number: 80, protocol: http}}]
  sources: [{kind: IPRange, name: 10.0.0.0/8}]
---
"""


def service(name: str, port: int = 80, namespace: str = "shop") -> str:
    return f"""\
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{ports: [{{port: {port}}}, {{port: 53, protocol: UDP}}]}}
---
"""


def said(folder: Path, *texts: str) -> list[str]:
    (folder / "f.yaml").write_text("".join(texts))
    return [str(each).partition("f.yaml:")[2] for each in judged(folder).problems]


def test_a_backend_that_is_no_service_of_the_folder_is_told_with_its_line(tmp_path: Path) -> None:
    assert said(tmp_path, SPLIT, service("web"), service("web-v1")) == [
        '8: TrafficSplit shop/s: spec.backends[1].service: no Service "web-v2" in namespace shop, '
        "there are web, web-v1; its share is left out, the others keep their ratio"
    ]


def test_a_root_that_is_no_service_of_the_folder_is_told(tmp_path: Path) -> None:
    assert said(tmp_path, SPLIT, service("web-v1"), service("web-v2")) == [
        '5: TrafficSplit shop/s: spec.service: no Service "web" in namespace shop, there are web-v1, web-v2; '
        "the split is not in force"
    ]


def test_what_an_ingress_opens_is_judged_alike(tmp_path: Path) -> None:
    (line,) = said(tmp_path, INGRESS, service("web"))
    assert 'no Service "wbe" in namespace shop, there is web; nobody is admitted to it' in line


def test_so_is_what_it_opens_over_https(tmp_path: Path) -> None:
    (line, _) = said(tmp_path, INGRESS.replace("protocol: http", "protocol: https"), service("web"))
    assert 'no Service "wbe" in namespace shop, there is web; nobody is admitted to it' in line
    (only,) = said(tmp_path, INGRESS.replace("protocol: http", "protocol: https"), service("web", namespace="other"))
    assert "expected a source of kind AuthenticatedPrincipal" in only


def test_services_that_are_there_are_in_order_and_their_ports_are_compared(tmp_path: Path) -> None:
    assert said(tmp_path, SPLIT, service("web"), service("web-v1"), service("web-v2")) == []
    (line,) = said(tmp_path, SPLIT, service("web"), service("web-v1"), service("web-v2", port=81))
    assert 'service "web-v2" has no port 80' in line


@pytest.mark.parametrize("broken", ["spec: nonsense", "spec: {}\nspec: {}"])
def test_a_broken_service_is_there_and_has_no_port_to_compare(tmp_path: Path, broken: str) -> None:
    text = f"apiVersion: v1\nkind: Service\nmetadata: {{name: web-v2, namespace: shop}}\n{broken}\n---\n"
    lines = said(tmp_path, SPLIT, service("web"), service("web-v1"), text)
    assert [line for line in lines if "TrafficSplit" in line] == []


def test_where_the_folder_holds_no_service_of_the_namespace_it_says_that_it_could_not_judge(tmp_path: Path) -> None:
    assert said(tmp_path, SPLIT, service("web", namespace="other")) == []
    sentence = (
        "whether there is a Service web, web-v1, web-v2 in namespace shop; "
        "the folder holds no Service of that namespace"
    )
    assert judged(tmp_path).unjudged == (sentence,)
    told = CliRunner().invoke(app, ["check", "-f", str(tmp_path)])
    assert (told.exit_code, told.stdout.splitlines()) == (0, [f"not judged: {sentence}", "nothing is wrong"])


def test_a_folder_that_cannot_be_read_as_a_whole_is_no_ground_to_judge_on(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text("a: [\n")
    assert [line for line in said(tmp_path, SPLIT, service("web")) if "TrafficSplit" in line] == []
    assert ["not all of the folder can be read" in each for each in judged(tmp_path).unjudged] == [True]


def test_one_file_is_judged_as_kubectl_would_take_it(tmp_path: Path) -> None:
    (tmp_path / "split.yaml").write_text(SPLIT + service("web") + service("web-v1"))
    (tmp_path / "other.yaml").write_text(service("web-v2"))
    told = CliRunner().invoke(app, ["check", "-f", str(tmp_path / "split.yaml")])
    assert "split.yaml:8" in told.output
    assert 'no Service "web-v2" in namespace shop' in told.output

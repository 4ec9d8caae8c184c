from functools import partial
from pathlib import Path

import pytest

from osm.manifests.folder import scan
from osm.manifests.last_good import in_force
from osm.manifests.workloads import parse
from services.local.instance import Machine
from services.local.plan import Plan, plan
from tests.unit.local.planned import planned_on

MACHINE = Machine(block=9, node="laptop", lowest_port=1024)

SHOP = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: keeper, namespace: town}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, namespace: town}
spec:
  replicas: 2
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      serviceAccountName: keeper
      containers:
        - name: web
          command: [python3, -m, shop, "--host=$(POD_IP)"]
          env:
            - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
          ports:
            - {name: http, containerPort: 8080}
          readinessProbe: {httpGet: {path: /ready, port: http}, periodSeconds: 3}
"""
UPSTREAM = """
---
apiVersion: v1
kind: Service
metadata: {name: depot, namespace: town}
spec: {selector: {app: depot}, ports: [{port: 80}]}
"""


planned = partial(planned_on, MACHINE)


def test_each_replica_has_an_address_and_its_sidecar_the_next():
    made, problems = planned(SHOP)
    assert problems == []
    assert list(made.workloads) == ["shop-0.town", "shop-1.town"]
    hosts = set()
    for each in made.workloads.values():
        (inbound,) = each.document.interception.inbound
        assert (inbound.target_port, inbound.app.port, inbound.listen.port) == (8080, 8080, 8080)
        app, sidecar = (int(host.rpartition(".")[2]) for host in (inbound.app.host, inbound.listen.host))
        assert sidecar == app + 1
        assert each.document.interception.http_proxy.port == 15001
        hosts |= {inbound.app.host, inbound.listen.host}
    assert len(hosts) == 4
    assert all(host.startswith("127.9.") for host in hosts)


def test_a_workload_is_what_its_manifest_says():
    shop = planned(SHOP)[0].workloads["shop-0.town"]
    assert str(shop.document.identity) == "town/keeper"
    assert shop.document.labels == (("app", "shop"),)
    assert shop.document.port_names == (("http", 8080),)
    assert shop.grace_s == 30
    (program,) = shop.programs
    assert program.argv == ("python3", "-m", "shop", f"--host={program.listens[0].host}")
    assert (program.check.path, program.check.period_s, program.check.once) == ("/ready", 3, False)
    assert program.check.address == program.listens[0]


def test_without_a_probe_a_connection_to_the_first_port_is_asked_for():
    text = SHOP.replace("          readinessProbe: {httpGet: {path: /ready, port: http}, periodSeconds: 3}\n", "")
    check = planned(text)[0].workloads["shop-0.town"].programs[0].check
    assert (check.path, check.once, check.address.port) == (None, True, 8080)


def test_an_edit_of_another_workload_moves_no_address_and_restarts_nothing():
    before, _ = planned(SHOP)
    other = SHOP.replace("name: shop,", "name: aaa,").partition("---")[2]
    after, _ = planned(SHOP + "---" + other, before)
    assert len(after.workloads) == 4
    for id_, each in before.workloads.items():
        assert after.workloads[id_].fingerprint == each.fingerprint


def test_a_new_service_restarts_only_workloads_that_refer_to_it():
    refers = SHOP.replace("--host=$(POD_IP)", "$(OSM_UPSTREAM_TOWN_DEPOT_80)")
    for text, same in ((SHOP, True), (refers, False)):
        without, with_it = planned(text)[0], planned(text + UPSTREAM)[0]
        assert (without.workloads["shop-0.town"].fingerprint == with_it.workloads["shop-0.town"].fingerprint) is same


def test_upstreams_are_offered_on_the_sidecars_own_address():
    shop = planned(SHOP + UPSTREAM)[0].workloads["shop-0.town"]
    offered = dict(shop.programs[0].platform)["OSM_UPSTREAM_TOWN_DEPOT_80"]
    assert offered.startswith(shop.document.interception.outbound_host + ":2")


def test_fewer_replicas_leave_the_first_ones():
    assert list(planned(SHOP.replace("replicas: 2", "replicas: 1"))[0].workloads) == ["shop-0.town"]


def test_a_pod_is_called_by_its_own_name():
    text = """
apiVersion: v1
kind: Pod
metadata: {name: lone, namespace: town, labels: {app: lone}}
spec: {containers: [{name: main, command: [sleep, "60"]}]}
"""
    made, problems = planned(text)
    assert (list(made.workloads), problems) == (["lone.town"], [])
    assert str(made.workloads["lone.town"].document.identity) == "town/default"
    assert made.workloads["lone.town"].programs[0].check is None


@pytest.mark.parametrize(
    ("old", "new", "field", "what"),
    [
        (
            '          command: [python3, -m, shop, "--host=$(POD_IP)"]\n',
            "          image: shop:1\n",
            "containers[0].command",
            "add the program, such as `command:",
        ),
        ("serviceAccountName: keeper", "serviceAccountName: keepr", "serviceAccountName", "did you mean `keeper`?"),
        ("metadata: {labels: {app: shop}}", "metadata: {labels: {}}", "spec.selector.matchLabels", "add app=shop"),
        ("containerPort: 8080", "containerPort: 15001", "ports[0].containerPort", "sidecar's HTTP proxy"),
        ("containerPort: 8080", "containerPort: 80", "ports[0].containerPort", "from 1024 up"),
        ("path: /ready, port: http", "path: /ready, port: web", "httpGet.port", "named are http"),
        ("status.podIP", "status.phase", "fieldRef.fieldPath", "found status.phase; this platform tells"),
        ("namespace: town", "namespace: osm-system", "metadata.namespace", "reserved for the control plane"),
        ("replicas: 2", "replica: 2", "spec.replica", "did you mean `replicas`?"),
    ],
)
def test_a_mistake_is_told_with_field_and_line_and_nothing_starts(old, new, field, what):
    assert old in SHOP
    made, problems = planned(SHOP.replace(old, new))
    assert made.workloads == {}
    (said,) = set(problems)
    assert said.startswith("town.yaml:")
    assert f"{field}: " in said
    assert what in said


def test_a_port_at_which_the_sidecar_offers_an_upstream_is_refused():
    shop = planned(SHOP + UPSTREAM)[0].workloads["shop-0.town"]
    number = dict(shop.programs[0].platform)["OSM_UPSTREAM_TOWN_DEPOT_80"].rpartition(":")[2]
    made, problems = planned(SHOP.replace("8080", number) + UPSTREAM)
    assert made.workloads == {}
    assert f"the sidecar offers port 80 of Service town/depot at {number}" in problems[0]


def test_a_misspelt_upstream_is_a_warning_with_the_right_name():
    text = SHOP.replace("--host=$(POD_IP)", "$(OSM_UPSTREAM_TOWN_DEPT_80)") + UPSTREAM
    made, problems = planned(text)
    assert len(made.workloads) == 2
    assert "did you mean `$(OSM_UPSTREAM_TOWN_DEPOT_80)`?" in problems[0]


def test_what_only_a_cluster_can_honour_is_one_warning():
    text = SHOP.replace("        - name: web\n", "        - name: web\n          resources: {limits: {cpu: 1}}\n")
    text = text.replace("      serviceAccountName", "      volumes: []\n      serviceAccountName")
    made, problems = planned(text)
    assert len(made.workloads) == 2
    assert len(problems) == 1
    assert "spec.template.spec.containers[0].resources, spec.template.spec.volumes: of no effect here" in problems[0]


def test_an_edit_that_makes_a_workload_wrong_leaves_it_as_it_was():
    before, _ = planned(SHOP)
    after, problems = planned(SHOP.replace("serviceAccountName: keeper", "serviceAccountName: nobody"), before)
    assert after.workloads == before.workloads
    assert "there is no ServiceAccount" in problems[0]


def test_nothing_starts_in_an_ignored_namespace_and_what_ran_there_ends():
    before, _ = planned(SHOP)
    label = (
        "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: town, labels: {openservicemesh.io/ignore: 'true'}}\n"
    )
    after, problems = planned(SHOP + label, before)
    assert after.workloads == {}
    assert "openservicemesh.io/ignore" in problems[0]


def test_two_workloads_cannot_have_replicas_of_the_same_name():
    pod = """
---
apiVersion: v1
kind: Pod
metadata: {name: shop-0, namespace: town}
spec: {containers: [{name: main, command: [sleep, "60"]}]}
"""
    made, problems = planned(SHOP + pod)
    assert len(made.workloads) == 2
    assert "its replicas would be called as those of Deployment town/shop" in problems[0]


@pytest.mark.parametrize("folder", ["manifests", "protocols"])
def test_the_demos_manifests_are_planned_without_a_word(folder):
    found = in_force(scan(Path(__file__).parents[3] / "demo" / folder), parse)
    made = plan(found, MACHINE, Plan())
    assert (found.problems, made.problems) == ((), ())
    assert len(made.workloads) >= 2

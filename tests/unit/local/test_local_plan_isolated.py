"""What is planned where each workload has a network of its own."""

from functools import partial

from osm.contracts.endpoints import Transparent
from osm.isolation import network
from services.local.instance import Machine
from services.local.plan import going_on
from tests.unit.local.planned import planned_on

MACHINE = Machine(block=9, node="laptop", lowest_port=1, isolated=True)
SHOP = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, namespace: town}
spec:
  replicas: 2
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers:
        - name: web
          command: [python3, -m, shop]
          env:
            - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
            - {name: DEPOT, value: $(OSM_UPSTREAM_TOWN_DEPOT_80)}
          ports:
            - {name: http, containerPort: 8080}
---
apiVersion: v1
kind: Service
metadata: {name: depot, namespace: town}
spec: {selector: {app: depot}, ports: [{port: 80}]}
"""


planned = partial(planned_on, MACHINE)


def test_every_workload_has_one_address_and_is_transparent():
    made, problems = planned(SHOP)
    assert problems == []
    hosts = [each.document.host for each in made.workloads.values()]
    assert len(set(hosts)) == 2
    assert all(network.slot_of(host) is not None for host in hosts)
    assert all(each.document.interception == Transparent() for each in made.workloads.values())


def test_no_app_is_told_of_a_proxy_and_all_listen_everywhere():
    made, _ = planned(SHOP)
    first = made.workloads["shop-0.town"]
    told = dict(first.programs[0].platform)
    assert not [name for name in told if name.lower().endswith("_proxy")]
    assert told["OSM_BIND_HOST"] == "0.0.0.0"
    assert dict(first.programs[0].own)["POD_IP"] == first.document.host


def test_an_upstream_variable_names_the_service_itself():
    made, _ = planned(SHOP)
    assert dict(made.workloads["shop-0.town"].programs[0].own)["DEPOT"] == "depot.town.svc.cluster.local:80"


def test_a_port_of_the_sidecar_is_not_the_apps_to_take():
    made, problems = planned(SHOP.replace("8080", "15003"))
    assert made.workloads == {}
    assert "15003 is the sidecar's own; choose another port" in problems[0]


def test_a_low_port_and_an_offered_number_are_free_to_take():
    made, problems = planned(SHOP.replace("8080", "80"))
    assert problems == []
    assert len(made.workloads) == 2


def test_what_went_on_keeps_its_address():
    made, _ = planned(SHOP)
    again = going_on(made.workloads.values(), block=9)
    assert again.slots == {id_: network.slot_of(each.document.host) for id_, each in made.workloads.items()}
    after, _ = planned(SHOP, again)
    assert after.workloads == made.workloads

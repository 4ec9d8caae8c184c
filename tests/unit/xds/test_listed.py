"""A mesh in which everything is rejected is told of in lines that the bus takes."""

import msgspec
from envoy.config.cluster.v3.cluster_pb2 import Cluster

from osm.ads.canaries import Terms
from osm.ads.resource import Resource
from osm.ads.rollout import Rollout
from osm.ads.types import CLUSTER
from osm.bus.documents import MAX_BYTES
from osm.contracts.names import Identity, ObjectRef
from osm.contracts.problem import MAX_PROBLEMS
from osm.contracts.quarantine import RejectedResource
from osm.contracts.status import Rejection
from services.xds.listed import LONGEST_REASON, MOST_LISTED, MOST_NAMES, listed
from services.xds.quarantine import Quarantine
from services.xds.refusals import refused, told
from services.xds.report import NAMED_ROLLOUTS
from services.xds.spread import rollout_status, words_on_objects

MESH, TARGET = ObjectRef("MeshConfig", "osm-system", "osm-mesh-config"), ObjectRef("TrafficTarget", "shop", "web")

ALL = tuple(
    RejectedResource(
        type_url=CLUSTER,
        name=f"shop/service-{number}|8080",
        version="1",
        reason=f"{number} " + "Proto constraint validation failed; " * 110,
        origins=(MESH,),
        proxy_id="web-0.shop",
        at_s=1.0,
    )
    for number in range(3000)
)


def rejection(*names: str, reason: str = "no", origin: ObjectRef = MESH) -> Rejection:
    return Rejection(type_url=CLUSTER, resources=names, reason=reason, origins=(origin,))


def size(line: object) -> int:
    return len(msgspec.json.encode(line))


def test_a_few_rejections_are_listed_as_they_are() -> None:
    few = tuple(rejection(f"c{number}") for number in range(MOST_LISTED))
    assert listed(few) == few


def test_of_many_the_first_are_listed_and_the_rest_counted_with_the_objects_they_come_from() -> None:
    many = [rejection(f"c{number}", "d") for number in range(MOST_LISTED + 1)]
    found = listed([*many, rejection("e", origin=TARGET)])
    assert found[:MOST_LISTED] == tuple(many[:MOST_LISTED])
    assert found[MOST_LISTED:] == (
        Rejection(
            type_url=CLUSTER, resources=("3 more",), reason="for reasons that are not listed", origins=(MESH, TARGET)
        ),
    )


def test_of_one_rejection_the_first_names_are_listed_and_the_rest_counted() -> None:
    names = tuple(f"c{number:03}" for number in range(MOST_NAMES + 2))
    (found,) = listed([rejection(*names)])
    assert found.resources == (*names[:MOST_NAMES], "2 more")


def test_long_reasons_are_cut() -> None:
    (found,) = listed([rejection("c", reason="x" * (LONGEST_REASON + 1))])
    assert found.reason == "x" * LONGEST_REASON + "..."


def test_what_is_said_of_an_object_fits_though_all_that_is_made_of_it_is_rejected() -> None:
    word = words_on_objects(ALL)[MESH]
    assert len(word.problems) == MAX_PROBLEMS + 1
    assert size(word) < MAX_BYTES


def test_the_progress_line_fits_though_everything_is_rejected_in_every_class() -> None:
    rollout = Rollout(Terms(), Quarantine(lambda: None))
    line = rollout_status(Identity("shop", "web"), rollout, ALL, is_behind=bool, proxy_of=str)
    assert line is not None
    assert size(line) * NAMED_ROLLOUTS < MAX_BYTES


def test_a_proxys_line_fits_though_it_refuses_everything_for_reasons_of_its_own() -> None:
    refusals = {
        name: each
        for one in ALL
        for name, each in refused({}, [Resource.of(one.name, Cluster(), origins=(MESH,))], one.reason).items()
    }
    assert size(told(refusals)) < MAX_BYTES / 10

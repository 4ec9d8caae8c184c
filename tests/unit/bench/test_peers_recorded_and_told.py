"""What is handed to a peer, and how its figures are told beside ours."""

from pathlib import Path

import pytest
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from msgspec.structs import replace

from bench.mesh import HUB
from bench.peers import page
from bench.peers.istio_config import endpoint_slice, moved_address
from bench.peers.recorded import Recorded, recording
from bench.peers.result import OURS, Comparison, PeerRun
from bench.peers.table import numbers
from bench.programs import version_of
from bench.result import Machine, Series
from bench.world import World
from osm.ads.types import CLUSTER, ENDPOINT

MOVED = Series(
    what="move endpoint",
    rounds=10,
    pushes_each=20,
    p50_ms=2,
    p99_ms=4,
    max_ms=5,
    prepared_ms=1,
    bytes_per_push=400,
    cpu_us_per_push=100,
    clients_cpu_us_per_push=50,
)
OUR_RUN = PeerRun(
    peer=OURS,
    streams=20,
    mutual_tls=True,
    first_config_s=1,
    first_config_mb=2,
    baseline_mb=3,
    kb_per_proxy=100,
    move_endpoint=MOVED,
)
COMPARISON = Comparison(
    date="2026-01-02T03:04:05+00:00",
    machine=Machine(cpu="a processor", cores=2, memory_gib=4, kernel="6.1"),
    load_before=0.5,
    versions={"other": "1.2"},
    settings={},
    runs=(OUR_RUN, replace(OUR_RUN, peer="other", move_endpoint=replace(MOVED, p99_ms=10, cpu_us_per_push=50))),
)


def load(name: str) -> Recorded:
    return Recorded(type_url=ENDPOINT, value=ClusterLoadAssignment(cluster_name=name).SerializeToString())


def test_a_resource_of_two_groups_is_recorded_once() -> None:
    own = Recorded(type_url=CLUSTER, value=b"own")
    found = recording([(load("ns/hub|80"), own), (load("ns/hub|80"),)], "ns/hub|")
    assert found.resources == (load("ns/hub|80"), own)
    assert found.groups == ((0, 1), (0,))
    assert found.hub == "ns/hub|80"


def test_a_recording_without_the_hub_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one load assignment"):
        recording([(load("ns/hub-2|80"),)], "ns/hub|")


def test_a_moved_endpoint_is_the_only_difference_of_its_slice() -> None:
    world = World(streams=20)
    before, after = (
        [one["addresses"][0] for one in endpoint_slice(world, HUB, moved=moved)["endpoints"]] for moved in (0, 7)
    )
    assert set(after) - set(before) == {moved_address(world, 7)}
    assert len(before) == len(after) == world.endpoints_each


def test_a_peer_is_told_as_a_multiple_of_ours() -> None:
    other = next(line for line in numbers(COMPARISON).splitlines() if "| other |" in line)
    assert "| 10.0 (2.50) |" in other
    assert "| 50 (0.50) |" in other


def test_a_version_may_hold_dashes_as_a_name_may() -> None:
    assert version_of(Path("/tools/go-control-plane-0.14.0")) == "0.14.0"
    assert version_of(Path("/tools/istio-0.0.0-20260827-abc")) == "0.0.0-20260827-abc"


def test_only_what_lies_between_the_markers_is_written_anew(tmp_path: Path) -> None:
    written = tmp_path / "page.md"
    begin, end = page.PEERS
    written.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    page.write(COMPARISON, written)
    text = written.read_text()
    assert text.startswith(f"before\n{begin}\n")
    assert text.endswith(f"{end}\nafter\n")
    assert "| other |" in text
    assert "old" not in text


def test_a_page_without_markers_is_not_touched(tmp_path: Path) -> None:
    written = tmp_path / "page.md"
    written.write_text("a person's words\n")
    with pytest.raises(ValueError, match="expected the lines"):
        page.write(COMPARISON, written)
    assert written.read_text() == "a person's words\n"

"""What workers are told, what they show together, and which settings they refuse. No process is started here."""

import subprocess
import sys

import pytest

from osm.runtime.settings import BadSetting, read_service
from services.xds.settings import Settings
from services.xds.worker_pages import merged


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"OSM_XDS_WORKERS": "0"}, "OSM_XDS_WORKERS: found 0, allowed are 1 and more"),
        ({"OSM_XDS_CANARY_TRAFFIC_S": "-1"}, "OSM_XDS_CANARY_TRAFFIC_S: found -1, allowed are 0 and more seconds"),
        ({"OSM_XDS_CANARY_MARGIN": "2"}, "OSM_XDS_CANARY_MARGIN: found 2, allowed are 0 to 1"),
        ({"OSM_XDS_CANARY_REQUESTS": "0"}, "OSM_XDS_CANARY_REQUESTS: found 0, allowed are 1 and more"),
        ({"OSM_XDS_DRAIN_S": "20"}, "OSM_XDS_DRAIN_S: found 20 and 2 for stop_deadline_s, allowed are 12 for both"),
    ],
)
def test_a_wrong_number_is_named(environment, says):
    with pytest.raises(BadSetting) as refused:
        read_service(Settings, environment, "xds")
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"OSM_BUS": "memory:"}, "osm xds: OSM_XDS_WORKERS: found 2, but OSM_BUS is memory:"),
        ({"OSM_BUS": "nats://127.0.0.1:1", "OSM_XDS_LISTEN": "127.0.0.1:0"}, "osm xds: OSM_XDS_LISTEN: found"),
    ],
)
def test_workers_that_could_not_share_the_work_are_refused_before_one_starts(environment, says):
    ended = subprocess.run(
        [sys.executable, "-m", "services.xds"],
        env={"OSM_XDS_WORKERS": "2", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith(says)
    assert ended.stderr.count("\n") == 1


def test_the_parent_of_workers_loads_no_grpc():
    code = "import sys, services.xds.__main__, services.xds.workers; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_measures_of_several_workers_are_one_text_with_each_family_once():
    first = (
        '# HELP a_total things\n# TYPE a_total counter\na_total{kind="x"} 1\n# HELP b seconds\n# TYPE b gauge\nb 2.5\n'
    )
    second = '# HELP a_total things\n# TYPE a_total counter\na_total{kind="x"} 4\na_total{kind="y"} 5\n'
    assert merged({"1": second, "0": first}) == (
        "# HELP a_total things\n"
        "# TYPE a_total counter\n"
        'a_total{worker="0",kind="x"} 1\n'
        'a_total{worker="1",kind="x"} 4\n'
        'a_total{worker="1",kind="y"} 5\n'
        "# HELP b seconds\n"
        "# TYPE b gauge\n"
        'b{worker="0"} 2.5\n'
    )


def test_nothing_measured_yet_is_an_empty_text():
    assert merged({}) == ""

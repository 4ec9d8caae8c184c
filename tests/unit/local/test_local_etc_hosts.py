"""What isolated workloads find in /etc/hosts."""

from services.local import etc_hosts

SERVICES = {("shop", "api"): "10.78.0.5", ("front", "web"): "10.78.0.6"}


def test_a_service_is_known_by_its_bare_name_in_its_own_namespace_only():
    assert etc_hosts.hosts("shop", SERVICES).splitlines() == [
        "127.0.0.1 localhost",
        "10.79.0.1 host.osm.internal",
        "10.78.0.6 web.front web.front.svc web.front.svc.cluster.local",
        "10.78.0.5 api api.shop api.shop.svc api.shop.svc.cluster.local",
    ]


def test_the_file_is_changed_in_place_because_programs_hold_it(tmp_path):
    etc_hosts.write(tmp_path, ["shop"], SERVICES)
    path = etc_hosts.files(tmp_path, "shop").hosts
    with path.open() as held:
        etc_hosts.write(tmp_path, ["shop"], {("shop", "api"): "10.78.0.5"})
        assert held.read().splitlines()[2:] == ["10.78.0.5 api api.shop api.shop.svc api.shop.svc.cluster.local"]


def test_a_file_that_says_it_already_is_left_alone(tmp_path):
    etc_hosts.write(tmp_path, ["shop", "shop", "front"], SERVICES)
    path = etc_hosts.files(tmp_path, "shop").hosts
    before = path.stat().st_mtime_ns
    etc_hosts.write(tmp_path, ["shop"], SERVICES)
    assert path.stat().st_mtime_ns == before
    assert sorted(each.name for each in path.parent.iterdir()) == ["-resolv.conf", "front", "shop"]

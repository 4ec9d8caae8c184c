"""The commands that put programs into namespaces."""

from pathlib import Path

from osm.isolation.namespace_commands import APP_MAY, SIDECAR_MAY, Names, apart, workload

NAMES = Names(hosts=Path("/run folder/hosts/shop"), resolver=Path("/run folder/hosts/-resolv.conf"))


def test_the_program_and_its_words_stay_as_they_are() -> None:
    command = ("python3", "-c", 'print("$HOME; rm -rf /")')
    assert workload("/proc/1/fd/7", NAMES, APP_MAY, command)[-3:] == command
    assert apart(command)[-3:] == command


def test_an_app_keeps_one_power_and_its_sidecar_another() -> None:
    app = workload("/proc/1/fd/7", NAMES, APP_MAY, ("app",))
    sidecar = workload("/proc/1/fd/7", NAMES, SIDECAR_MAY, ("envoy",))
    assert "--bounding-set=-all,+net_bind_service" in app
    assert "--bounding-set=-all,+net_admin" in sidecar
    assert all("--no-new-privs" in each for each in (app, sidecar))


def test_the_hosts_file_is_one_word_whatever_its_name() -> None:
    assert str(NAMES.hosts) in workload("/proc/1/fd/7", NAMES, APP_MAY, ("app",))

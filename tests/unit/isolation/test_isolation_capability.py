"""What a failed attempt to isolate means. That attempts succeed is tested end to end."""

import pytest

from osm.isolation import capability
from osm.isolation.capability import failed


@pytest.mark.parametrize(
    ("setting", "value", "remedy"),
    [
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
        ("kernel.unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        ("user.max_user_namespaces", "0", "user.max_user_namespaces=15000"),
    ],
)
def test_a_setting_that_forbids_is_named_with_the_one_that_allows(setting: str, value: str, remedy: str) -> None:
    found = failed([], "unshare: unshare failed: Operation not permitted", {setting: value})
    assert found.what == f"user namespaces are forbidden here ({setting} is {value})"
    assert found.remedy == f"sudo sysctl -w {remedy}"


def test_a_setting_that_allows_is_not_blamed() -> None:
    found = failed([], "unshare: Operation not permitted", {"user.max_user_namespaces": "63000"})
    assert found.what == "user namespaces are forbidden here (unshare: Operation not permitted)"
    assert "in a container" in found.remedy


def test_the_step_that_failed_names_what_the_kernel_lacks() -> None:
    found = failed(["bridge", "veth"], "RTNETLINK answers: Operation not supported", {})
    assert found.what == "this kernel makes no veth pair (CONFIG_VETH): RTNETLINK answers: Operation not supported"


def test_every_step_of_the_attempt_has_a_name() -> None:
    steps = [line.removeprefix("echo ") for line in capability.ATTEMPT.splitlines() if line.startswith("echo ")]
    for step in steps[:-1]:
        assert failed([step], "no", {}).what
    assert steps[-1] == "done"


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capability.shutil, "which", lambda name, **_: None if name == "iptables-restore" else name)
    found = capability.obstacle()
    assert found is not None
    assert found.what == "no program iptables-restore here"
    assert found.remedy == "install iptables"


def test_another_system_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capability.sys, "platform", "darwin")
    found = capability.obstacle()
    assert found is not None
    assert found.what == "network namespaces are Linux's; this is darwin"

"""Which files may hold a secret."""

import os
from pathlib import Path

import pytest

from osm.bus.private_files import is_private, our_groups

OWN_GROUPS = (1000, 65532)


def file(mode: int, owner: int, group: int) -> os.stat_result:
    return os.stat_result((0o100000 | mode, 0, 0, 1, owner, group, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("mode", "owner", "group", "private"),
    [
        (0o600, 1000, 1000, True),
        (0o400, 1000, 1000, True),
        (0o440, 0, 65532, True),  # a Secret in a pod with fsGroup 65532
        (0o400, 0, 65532, True),
        (0o440, 0, 7, False),  # root's, but of a group that we are not in: somebody else's
        (0o440, 1000, 65532, False),  # no kubelet has made this one
        (0o640, 0, 65532, False),
        (0o460, 0, 65532, False),
        (0o444, 0, 65532, False),
        (0o644, 1000, 1000, False),
    ],
)
def test_only_the_owner_reads_a_secret_or_the_group_of_a_pod_it_is_mounted_in(
    mode: int, owner: int, group: int, private: bool
) -> None:
    assert is_private(file(mode, owner, group), OWN_GROUPS) is private


def test_a_process_knows_its_groups(tmp_path: Path) -> None:
    assert tmp_path.stat().st_gid in our_groups()

"""Whose run folders are looked at, from inside of a user namespace and from outside."""

import pytest

from osm.cli.find_mesh import user_outside

WHOLE = "         0          0 4294967295\n"


@pytest.mark.parametrize(
    ("uid", "uid_map", "outside"),
    [
        (1000, WHOLE, 1000),
        (0, WHOLE, 0),
        (0, "         0       1000          1\n", 1000),
        (0, "0 1000 1\n1 100000 65536\n", 1000),
        (1500, "0 1000 1\n1 100000 65536\n", 101499),
        (65534, "0 1000 1\n", 65534),
    ],
)
def test_a_user_is_known_by_its_number_outside(uid: int, uid_map: str, outside: int) -> None:
    assert user_outside(uid, uid_map) == outside

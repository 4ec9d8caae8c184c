"""A connection is cut by its two ends, and no other one is."""

import asyncio
import socket
from pathlib import Path

import pytest

from osm.ads.close_connection import cut


def descriptors():
    return len(list(Path("/dev/fd").iterdir()))


class Pair:
    """A connection within this process, over TCP on loopback."""

    def __init__(self, family=socket.AF_INET, host="127.0.0.1"):
        with socket.create_server((host, 0), family=family) as listener:
            self.ours_port = listener.getsockname()[1]
            self.theirs = socket.create_connection((host, self.ours_port))
            self.ours, _ = listener.accept()
        self.theirs_port = self.theirs.getsockname()[1]

    def is_open(self):
        """Whether what is sent arrives."""
        try:
            self.theirs.sendall(b"x")
            return self.ours.recv(1) == b"x"
        except OSError:
            return False

    def close(self):
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def pairs():
    made = [Pair(), Pair(), Pair(socket.AF_INET6, "::1")]
    yield made
    for pair in made:
        pair.close()


def test_the_named_connection_ends_and_the_others_stay(pairs):
    one, other, six = pairs
    assert cut(f"ipv4:127.0.0.1:{one.theirs_port}", one.ours_port)
    assert [pair.is_open() for pair in pairs] == [False, True, True]
    assert cut(f"ipv6:%5B::1%5D:{six.theirs_port}", six.ours_port)
    assert [pair.is_open() for pair in pairs] == [False, True, False]
    assert other.is_open()


def test_a_connection_to_another_port_of_ours_is_left_alone(pairs):
    one, other, _ = pairs
    assert not cut(f"ipv4:127.0.0.1:{one.theirs_port}", other.ours_port)
    assert one.is_open()


@pytest.mark.parametrize("peer", ["unix:/tmp/x", "", "ipv4:", "nonsense", "ipv4:127.0.0.1:1", "ipv4:127.0.0.1:x"])
def test_what_is_no_connection_of_ours_is_not_found(peer, pairs):
    assert not cut(peer, pairs[0].ours_port)
    assert all(pair.is_open() for pair in pairs)


def test_looking_for_a_connection_leaves_no_descriptors(pairs, tmp_path):
    """Most descriptors of a process are no sockets."""
    with (tmp_path / "log").open("w"):
        before = descriptors()
        for _ in range(3):
            assert not cut("ipv4:127.0.0.1:1", pairs[0].ours_port)
        assert descriptors() == before


async def test_our_own_descriptor_stays_ours(pairs):
    one, *_ = pairs
    one.ours.setblocking(False)
    before = one.ours.fileno()
    assert cut(f"ipv4:127.0.0.1:{one.theirs_port}", one.ours_port)
    assert await asyncio.get_running_loop().sock_recv(one.ours, 1) == b""
    assert one.ours.fileno() == before

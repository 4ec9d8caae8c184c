import socket

import pytest

from osm.testing import free_ports
from osm.testing.free_ports import COUNT, FIRST, free_port


def test_no_port_is_named_twice_and_none_is_of_the_kernels_own_choice() -> None:
    named = [free_port() for _ in range(200)]
    assert len(set(named)) == 200
    assert min(named) >= FIRST
    assert max(named) < FIRST + COUNT < 32768  # net.ipv4.ip_local_port_range


def test_a_port_that_somebody_has_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    free = free_port()
    with socket.create_server(("127.0.0.1", free)):
        monkeypatch.setattr(free_ports, "_turns", iter([free, free + 1, free + 2]))
        assert free_port() != free


def test_a_machine_without_a_free_port_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = free_port()
    monkeypatch.setattr(free_ports, "_turns", iter([taken]))
    with socket.create_server(("127.0.0.1", taken)), pytest.raises(OSError, match="is free"):
        free_port()

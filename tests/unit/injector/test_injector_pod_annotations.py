"""Annotations of a pod, and the mesh's lists beside them."""

import pytest

from osm.contracts.policy import Injection
from osm.envoy.redirect import Redirect
from services.injector.pod_annotations import MOST_QUOTED_CHARS, Unreadable, redirect, switch

PREFIX = "openservicemesh.io"
OUT_PORTS, IN_PORTS = f"{PREFIX}/outbound-port-exclusion-list", f"{PREFIX}/inbound-port-exclusion-list"
OUT_IPS, ONLY_IPS = f"{PREFIX}/outbound-ip-range-exclusion-list", f"{PREFIX}/outbound-ip-range-inclusion-list"


def test_without_a_word_everything_is_redirected() -> None:
    assert redirect("pod web", {}, Injection()) == Redirect()


def test_the_pods_lists_are_added_to_the_meshs() -> None:
    mesh = Injection(
        outbound_port_exclusions=(80,),
        inbound_port_exclusions=(90,),
        outbound_ip_exclusions=("10.0.0.0/8",),
        interface_exclusions=("net1",),
        pod_ip_mode=True,
    )
    pod = {OUT_PORTS: "80, 81", IN_PORTS: "91", OUT_IPS: "192.168.0.1", ONLY_IPS: "10.1.0.0/16,10.2.0.0/16"}
    assert redirect("pod web", pod, mesh) == Redirect(
        outbound_port_exclusions=(80, 81),
        inbound_port_exclusions=(90, 91),
        outbound_ip_exclusions=("10.0.0.0/8", "192.168.0.1"),
        outbound_ip_inclusions=("10.1.0.0/16", "10.2.0.0/16"),
        interface_exclusions=("net1",),
        pod_ip_mode=True,
    )


def test_an_empty_list_excludes_nothing() -> None:
    assert redirect("pod web", {OUT_PORTS: " ", OUT_IPS: ""}, Injection()) == Redirect()


@pytest.mark.parametrize("item", ["x", "0", "65536", "-1", "8_0", "٣", "80-90", ""])
def test_what_is_no_port_is_told_with_what_is_allowed(item: str) -> None:
    with pytest.raises(Unreadable) as refused:
        redirect("pod web", {OUT_PORTS: f"80, {item}"}, Injection())
    assert str(refused.value) == f'pod web: annotation {OUT_PORTS}: found "{item}", allowed are ports from 1 to 65535'


def test_of_what_has_no_end_only_the_beginning_is_said() -> None:
    """Nobody has checked how long an annotation is when we are asked, and the sentence goes to a log."""
    for key in (OUT_PORTS, OUT_IPS):
        with pytest.raises(Unreadable) as refused:
            redirect("pod web", {key: "9" * 5_000}, Injection())
        assert f'found "{"9" * (MOST_QUOTED_CHARS - 1)}…", allowed' in str(refused.value)
    with pytest.raises(Unreadable) as refused:
        switch("pod web", {"key": "y" * 5_000}, "key")
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("item", ["x", "10.0.0.0/33", "10.0.0.300", "::1", "fd00::/8", "-j ACCEPT", ""])
def test_what_is_no_range_is_told_with_what_is_allowed(item: str) -> None:
    with pytest.raises(Unreadable) as refused:
        redirect("pod web", {ONLY_IPS: f"10.0.0.0/8,{item}"}, Injection())
    allowed = "IPv4 addresses and ranges such as 10.0.0.0/8"
    assert str(refused.value) == f'pod web: annotation {ONLY_IPS}: found "{item}", allowed are {allowed}'

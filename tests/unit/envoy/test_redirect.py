"""Redirect rules as text; that a kernel takes them and does as they say is tested with real namespaces."""

import pytest

from osm.envoy.redirect import Redirect, rules


def chain(text: str, name: str) -> list[str]:
    return [line.removeprefix(f"-A {name} ") for line in text.splitlines() if line.startswith(f"-A {name} ")]


def test_the_text_is_one_nat_table() -> None:
    lines = rules(Redirect()).splitlines()
    assert lines[0] == "*nat"
    assert lines[-1] == "COMMIT"
    assert rules(Redirect()).endswith("\n")
    assert all(line.startswith((":OSM_PROXY_", "-A ")) for line in lines[1:-1])


def test_the_rules_without_any_wish() -> None:
    text = rules(Redirect())
    assert chain(text, "PREROUTING") == ["-p tcp -j OSM_PROXY_INBOUND"]
    assert chain(text, "OUTPUT") == ["-p tcp -j OSM_PROXY_OUTBOUND"]
    assert chain(text, "OSM_PROXY_IN_REDIRECT") == ["-p tcp -j REDIRECT --to-ports 15003"]
    assert chain(text, "OSM_PROXY_OUT_REDIRECT") == ["-p tcp -j REDIRECT --to-ports 15001"]
    assert chain(text, "OSM_PROXY_INBOUND") == [
        "-p tcp -m multiport --dports 15010,15021,15901,15902,15903 -j RETURN",
        "-j OSM_PROXY_IN_REDIRECT",
    ]
    assert chain(text, "OSM_PROXY_OUTBOUND") == [
        "-o lo ! -d 127.0.0.1/32 -m owner --uid-owner 1500 -j OSM_PROXY_IN_REDIRECT",
        "-o lo -m owner ! --uid-owner 1500 -j RETURN",
        "-m owner --uid-owner 1500 -j RETURN",
        "-d 127.0.0.1/32 -j RETURN",
        "-j OSM_PROXY_OUT_REDIRECT",
    ]


def test_a_mark_takes_the_place_of_the_uid_and_of_nothing_else() -> None:
    by_uid, by_mark = rules(Redirect()), rules(Redirect(mark=0x5DC))
    assert "owner" not in by_mark
    assert "-m mark ! --mark 0x5dc" in by_mark
    assert (
        by_mark.replace("-m mark --mark 0x5dc", "-m owner --uid-owner 1500").replace(
            "-m mark ! --mark 0x5dc", "-m owner ! --uid-owner 1500"
        )
        == by_uid
    )


def test_excluded_ports_are_let_through_in_rules_of_fifteen() -> None:
    text = rules(Redirect(outbound_port_exclusions=tuple(range(2016, 1999, -1))))
    found = [line for line in chain(text, "OSM_PROXY_OUTBOUND") if "multiport" in line]
    assert found == [
        f"-p tcp -m multiport --dports {','.join(map(str, range(2000, 2015)))} -j RETURN",
        "-p tcp -m multiport --dports 2015,2016 -j RETURN",
    ]


def test_an_excluded_inbound_port_joins_those_of_the_sidecar() -> None:
    first = chain(rules(Redirect(inbound_port_exclusions=(9443, 15021))), "OSM_PROXY_INBOUND")[0]
    assert first == "-p tcp -m multiport --dports 9443,15010,15021,15901,15902,15903 -j RETURN"


def test_excluded_ranges_come_before_the_redirect_and_after_loopback() -> None:
    found = chain(rules(Redirect(outbound_ip_exclusions=("10.9.8.7/8", "1.1.1.1"))), "OSM_PROXY_OUTBOUND")
    assert found[4:] == ["-d 1.1.1.1/32 -j RETURN", "-d 10.0.0.0/8 -j RETURN", "-j OSM_PROXY_OUT_REDIRECT"]


def test_with_inclusions_nothing_else_is_redirected() -> None:
    wish = Redirect(outbound_ip_inclusions=("10.0.0.0/8",), outbound_ip_exclusions=("10.1.0.0/16",))
    assert chain(rules(wish), "OSM_PROXY_OUTBOUND")[4:] == [
        "-d 10.1.0.0/16 -j RETURN",
        "-d 10.0.0.0/8 -j OSM_PROXY_OUT_REDIRECT",
        "-j RETURN",
    ]


def test_an_excluded_interface_is_excluded_both_ways() -> None:
    text = rules(Redirect(interface_exclusions=("eth1",)))
    assert chain(text, "OSM_PROXY_INBOUND")[0] == "-i eth1 -j RETURN"
    assert "-o eth1 -j RETURN" in chain(text, "OSM_PROXY_OUTBOUND")


def test_only_pod_ip_mode_needs_a_variable() -> None:
    assert "$" not in rules(Redirect())
    text = rules(Redirect(pod_ip_mode=True))
    assert chain(text, "OUTPUT") == [
        "-p tcp -o lo -d 127.0.0.1/32 -m tcp ! --dport 15000 -m owner --uid-owner 1500 "
        "-j DNAT --to-destination $POD_IP",
        "-p tcp -j OSM_PROXY_OUTBOUND",
    ]


@pytest.mark.parametrize(
    ("wish", "found"),
    [
        ({"interface_exclusions": ("eth0; reboot",)}, "'eth0; reboot'"),
        ({"interface_exclusions": ("$(reboot)",)}, "'$(reboot)'"),
        ({"interface_exclusions": ("-j",)}, "'-j'"),
        ({"outbound_ip_exclusions": ("10.0.0.0/8 -j ACCEPT",)}, "'10.0.0.0/8 -j ACCEPT'"),
        ({"outbound_ip_inclusions": ("fd00::/8",)}, "'fd00::/8'"),
        ({"inbound_port_exclusions": (0,)}, "found 0"),
        ({"outbound_port_exclusions": (65536,)}, "found 65536"),
    ],
)
def test_what_is_no_port_range_or_interface_is_refused(wish: dict[str, tuple[object, ...]], found: str) -> None:
    with pytest.raises(ValueError, match=r"^(interface|outbound|inbound)_") as refused:
        Redirect(**wish)  # type: ignore[arg-type]  # a table of mistakes
    assert found in str(refused.value)

"""A name that passes here is a key on the bus, a line in a table and a part of a certificate's URI."""

from typing import Any

import msgspec
import pytest

from osm.contracts.names import DnsLabel, DnsName, Identity, SpiffeId


@pytest.mark.parametrize("kind", [DnsLabel, DnsName])
@pytest.mark.parametrize("text", ["", "a\n", "a\nb", "a b", "a_b", "-a", "a-", "A", "a" * 254])
def test_what_a_subject_or_a_uri_may_not_hold_is_no_name(kind: Any, text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, kind)


def test_a_service_has_a_label_and_an_account_may_hold_dots() -> None:
    assert msgspec.convert("db.v1", DnsName) == "db.v1"
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert("db.v1", DnsLabel)


def test_a_uri_is_read_as_what_it_was_written_from() -> None:
    store = Identity("shop", "store.v1")
    assert SpiffeId.parse(store.spiffe("mesh.example")) == SpiffeId("mesh.example", store)
    written = store.proxy_spiffe("mesh.example", "store-0.shop")
    assert SpiffeId.parse(written) == SpiffeId("mesh.example", store, "store-0.shop")


@pytest.mark.parametrize(
    "uri",
    [
        "spiffe://mesh.example/ns/shop/sa/store\n",
        "x spiffe://mesh.example/ns/shop/sa/store",
        "spiffe://mesh.example/ns/shop/sa/store/proxy/",
        "spiffe://mesh.example/ns/shop/sa/store/proxy/a/b",
        "spiffe://mesh.example/ns/shop",
        "https://mesh.example/ns/shop/sa/store",
    ],
)
def test_a_uri_that_is_only_nearly_ours_is_nobody_s(uri: str) -> None:
    assert SpiffeId.parse(uri) is None

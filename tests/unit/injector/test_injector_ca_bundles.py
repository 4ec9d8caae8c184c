"""Which webhooks do not trust the mesh's roots, and the patch that mends them."""

import base64
from typing import Any

import msgspec

from services.injector.ca_bundles import Configuration, untrusting


def configuration(**bundles: str | None) -> Configuration:
    webhooks: list[dict[str, Any]] = [
        {"name": name, "clientConfig": {} if text is None else {"caBundle": base64.b64encode(text.encode()).decode()}}
        for name, text in bundles.items()
    ]
    return msgspec.convert({"webhooks": webhooks}, Configuration)


def test_webhooks_that_trust_the_roots_are_left_alone() -> None:
    assert untrusting(configuration(a="ROOTS", b="ROOTS"), "ROOTS") is None


def test_only_the_webhook_that_does_not_is_mended_and_keeps_where_it_asks() -> None:
    change = untrusting(configuration(a="ROOTS", b=None, c="OLD"), "ROOTS")
    bundle = base64.b64encode(b"ROOTS").decode()
    assert change == {
        "webhooks": [
            {"name": "b", "clientConfig": {"caBundle": bundle}},
            {"name": "c", "clientConfig": {"caBundle": bundle}},
        ]
    }

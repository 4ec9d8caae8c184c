"""docs/bus.asyncapi.yaml: every channel of the bus as an AsyncAPI 3.0 document, from the channel table.

What AsyncAPI has no word for (lane, bucket, who writes and reads) stands in `x-` fields, which the specification
leaves to its users. Pure.
"""

from collections.abc import Mapping
from inspect import cleandoc
from typing import Any

import msgspec
import yaml

from osm.bus.rights import OBSERVERS, READERS, STATUS
from osm.contracts.channels import RPCS, STATES, STATUS_MAX_AGE_S, Rpc, State

INTRODUCTION = f"""
Everything that services say to each other. Made by `make docs` from osm/contracts/channels.py; do not edit.

`state`: the whole current value of a key in a key-value bucket; an absent key is a value too. A reader gets the
bucket's full picture first, then changes. A `.` inside a part of a key becomes `_`.
`status`: what services report; a line that is not refreshed within {STATUS_MAX_AGE_S:g} s is no longer true.
The forward path never reads it.
`rpc`: a question to whichever replica of the owner is free; the last part of the subject is who asks.

Payloads are JSON; fields that hold their default are left out. Within a major version changes are additive, and
readers ignore fields they do not know. `x-writers` may put a key, `x-readers` may read it.
"""

ADDRESS_OF_KEY = "$KV.{bucket}.{key}"
"""The subject of a key in NATS key-value buckets (ADR-8 of NATS)."""


class _Page(yaml.SafeDumper):
    """Block text for long sentences, no anchors: a page is read by people, and compared line by line."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # PyYAML's signature
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Page.add_representer(str, _text)


def render() -> str:
    return yaml.dump(document(), Dumper=_Page, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True)


def document() -> dict[str, Any]:
    """The page as a mapping, in the order of the channel table."""
    payloads = list(
        dict.fromkeys([state.payload for state in STATES] + [t for r in RPCS for t in (r.request, r.reply)])
    )
    _, schemas = msgspec.json.schema_components(payloads, ref_template="#/components/schemas/{name}")
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "The bus of Open Service Mesh", "version": "1.0.0", "description": cleandoc(INTRODUCTION)},
        "defaultContentType": "application/json",
        "channels": {
            **{channel_name(state): _state(state) for state in STATES},
            **{name: channel for rpc in RPCS for name, channel in _rpc(rpc).items()},
        },
        "operations": {f"{rpc.owner}.{rpc.verb}": _operation(rpc) for rpc in RPCS},
        "components": {
            "messages": {kind.__name__: _message(kind) for kind in sorted(payloads, key=lambda kind: kind.__name__)},
            "schemas": {name: _tidy(schema) for name, schema in sorted(schemas.items())},
        },
    }


def channel_name(state: State[Any]) -> str:
    return f"{state.bucket}.{state.entity}"


def readers(bucket: str) -> list[str]:
    """Everyone who may read the bucket, its owner included."""
    owner = [] if bucket == STATUS else [bucket]
    return sorted({*owner, *READERS[bucket], *OBSERVERS})


def _state(state: State[Any]) -> dict[str, Any]:
    key = ".".join([state.entity, *(f"{{{part}}}" for part in state.parts)])
    channel: dict[str, Any] = {
        "address": ADDRESS_OF_KEY.format(bucket=state.bucket, key=key),
        "description": state.says,
        "messages": _messages(state.payload),
    }
    if state.parts:
        channel["parameters"] = {part: {} for part in state.parts}
    channel["x-lane"] = "status" if state.bucket == STATUS else "state"
    channel["x-bucket"] = state.bucket
    channel["x-key"] = key
    channel["x-writers"] = sorted(state.writers)
    channel["x-readers"] = readers(state.bucket)
    return channel


def _rpc(rpc: Rpc[Any, Any]) -> dict[str, Any]:
    name = f"{rpc.owner}.{rpc.verb}"
    asked = {
        "address": rpc.subject("{caller}"),
        "description": rpc.says,
        "messages": _messages(rpc.request),
        "parameters": {"caller": {"enum": sorted(rpc.callers)}},
        "x-lane": "rpc",
        "x-owner": rpc.owner,
        "x-callers": sorted(rpc.callers),
    }
    answered = {
        "address": None,
        "description": f"the answer, to an inbox that the asker names: {rpc.says}",
        "messages": _messages(rpc.reply),
    }
    return {name: asked, f"{name}.reply": answered}


def _operation(rpc: Rpc[Any, Any]) -> dict[str, Any]:
    """From the owner's side: it receives the question."""
    name = f"{rpc.owner}.{rpc.verb}"
    return {
        "action": "receive",
        "channel": _ref("channels", name),
        "summary": rpc.says,
        "messages": [_ref("channels", name, "messages", rpc.request.__name__)],
        "reply": {
            "channel": _ref("channels", f"{name}.reply"),
            "messages": [_ref("channels", f"{name}.reply", "messages", rpc.reply.__name__)],
        },
    }


def _messages(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {kind.__name__: _ref("components", "messages", kind.__name__)}


def _message(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {"name": kind.__name__, "payload": _ref("components", "schemas", kind.__name__)}


def _ref(*path: str) -> dict[str, str]:
    return {"$ref": "/".join(("#", *path))}


def _tidy(schema: Any) -> Any:
    """Without the indentation that docstrings have in code, and without titles, which repeat the schema's name.

    OpenAPI's discriminator is an object, AsyncAPI's the name of the property alone.
    """
    if isinstance(schema, Mapping):
        kept = {key: _tidy(value) for key, value in schema.items() if key != "title" or not isinstance(value, str)}
        if isinstance(kept.get("description"), str):
            kept["description"] = cleandoc(kept["description"])
        if isinstance(kept.get("discriminator"), Mapping):
            kept["discriminator"] = kept["discriminator"]["propertyName"]
        return kept
    return [_tidy(each) for each in schema] if isinstance(schema, list) else schema

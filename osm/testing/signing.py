"""Settings of a NATS user whose keys lie in a folder, as `osm bus keys` makes it: for tests that run several users."""

from pathlib import Path
from typing import Any

from osm.bus.nats_keys import WRITERS
from osm.bus.nats_settings import NatsSettings


def signing(keys: Path, name: str, **more: Any) -> NatsSettings:
    """`more`: further fields of NatsSettings."""
    return NatsSettings(writers_file=str(keys / WRITERS), signing_key_file=str(keys / f"{name}.key"), **more)

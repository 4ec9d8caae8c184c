"""How the services of a mesh, and this CLI, reach its NATS: one URL, and credentials for each user.

The variables are those that every service reads (`OSM_NATS_…`). Where one of them names a file, `{user}` in it
stands for the user's name, so that one environment serves services with a password each.
"""

from collections.abc import Mapping

from msgspec import Struct

from osm.bus.nats_settings import NatsSettings
from osm.runtime.settings import read

PREFIX = "OSM_NATS_"

USER_MARK = "{user}"


class NatsAccess(Struct, frozen=True, kw_only=True):
    """A NATS server as its users reach it. `variables`: `OSM_NATS_…`, as a user sets them."""

    url: str
    variables: Mapping[str, str] = {}

    @classmethod
    def told(cls, url: str, environment: Mapping[str, str]) -> "NatsAccess":
        """The server at `url`, with what the environment says of credentials."""
        return cls(url=url, variables={name: value for name, value in environment.items() if name.startswith(PREFIX)})

    def environment(self, user: str) -> dict[str, str]:
        """What the piece that connects as `user` finds in its environment."""
        own = {name: value.replace(USER_MARK, user) for name, value in sorted(self.variables.items())}
        return {"OSM_BUS": self.url, **own}

    def settings(self, user: str) -> NatsSettings:
        """The same as `connect` takes it. Raises BadSetting."""
        return read(NatsSettings, self.environment(user), PREFIX)

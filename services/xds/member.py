"""One stream of one proxy: who it is, which class it is in or what it is held for, and what it has refused."""

from osm.contracts.status import ProxyState, ProxyStatus
from services.xds.admission import Proxy
from services.xds.classes import ProxyClass
from services.xds.refusals import Refusals, told


class Member:
    """Changed by the fleet alone. `connected_at_s`: seconds since the epoch."""

    def __init__(self, proxy: Proxy, connected_at_s: float) -> None:
        self.proxy = proxy
        self.connected_at_s = connected_at_s
        self.held_for = ""
        self.proxy_class: ProxyClass | None = None
        self.refusals: Refusals = {}

    def state(self, *, is_behind: bool) -> ProxyState:
        """The first that holds of: held, rejected, waiting, synced."""
        return "held" if self.held_for else "rejected" if self.refusals else "waiting" if is_behind else "synced"

    def status(self, replica: str, *, is_behind: bool) -> ProxyStatus:
        """Its line in `status`."""
        return ProxyStatus(
            proxy_id=self.proxy.id,
            identity=self.proxy.identity,
            replica=replica,
            connected_at_s=self.connected_at_s,
            state=self.state(is_behind=is_behind),
            rejections=told(self.refusals),
            why=self.held_for,
        )

"""One stream of one proxy: who it is, which class it is in or what it is held for, and what it has refused."""

from osm.contracts.status import ProxyStatus
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

    def status(self, replica: str, *, is_behind: bool) -> ProxyStatus:
        """Its line in `status`."""
        rejections = told(self.refusals)
        return ProxyStatus(
            proxy_id=self.proxy.id,
            identity=self.proxy.identity,
            replica=replica,
            connected_at_s=self.connected_at_s,
            state="held" if self.held_for else "rejected" if rejections else "waiting" if is_behind else "synced",
            rejections=rejections,
            why=self.held_for,
        )

"""The pods with a sidecar and their Secrets, as the API server last reported them. Not asynchronous.

Apart from the chores that follow from it (`secret_chores`), and from the watches that feed it (`secret_controller`).
"""

from collections.abc import Collection, Iterable, Mapping

from msgspec import structs

from osm.contracts import labels
from osm.k8s.objects import Object
from osm.k8s.watch_state import Seen
from services.injector.proxies import Proxy, RunningPod, SecretKey, proxy_of
from services.injector.secret import Kept, kept

REMEMBERED_S = 600.0
"""How long a pod that we have answered for may take to appear; then it was refused by somebody else."""

MOST_REMEMBERED = 10_000
"""Anyone may ask for a sidecar; what does not fit is made by the holder of the Lease, a moment later."""


class PodsAndSecrets:
    """`secrets` is None while we do not hold the Lease, or have not read them all."""

    def __init__(self, mesh: str) -> None:
        self._mesh = mesh
        self.secrets: dict[SecretKey, Kept] | None = None
        self._proxies: dict[tuple[str, str], Proxy] = {}
        self._pods_read = False
        self._admitted: dict[str, float] = {}

    @property
    def proxies(self) -> Iterable[Proxy]:
        return self._proxies.values()

    @property
    def tended(self) -> Mapping[SecretKey, Kept] | None:
        """The Secrets, once all pods are read too: until then each of them would seem to be of a pod that is gone."""
        return self.secrets if self._pods_read else None

    @property
    def admitted(self) -> Collection[str]:
        return self._admitted.keys()

    def earliest_end_s(self) -> float | None:
        """When the first certificate of a running sidecar ends, seconds since the epoch; None if we do not tend any."""
        secrets = self.tended or {}
        ends = (secrets[proxy.key].not_after_s for proxy in self.proxies if proxy.key in secrets and not proxy.finished)
        return min(ends, default=None)

    def admit(self, uuid: str, now_s: float) -> None:
        """A pod with this sidecar may appear."""
        for old in [each for each, at_s in self._admitted.items() if at_s < now_s - REMEMBERED_S]:
            del self._admitted[old]
        if len(self._admitted) < MOST_REMEMBERED:
            self._admitted[uuid] = now_s

    def settle(self, uuid: str) -> None:
        """Its Secret is there."""
        self._admitted.pop(uuid, None)

    def see_pods(self, seen: Seen[RunningPod], now_s: float) -> None:
        before = self._proxies
        if seen.full:
            self._proxies, self._pods_read = {}, True
        for key, pod in seen.objects.items():
            since_s = before[key].seen_s if key in before else now_s
            proxy = proxy_of(pod, self._mesh, since_s) if pod is not None else None
            if proxy is not None:
                self._proxies[key] = proxy
            else:
                self._proxies.pop(key, None)

    def see_secrets(self, seen: Seen[Object]) -> None:
        if seen.full or self.secrets is None:
            self.secrets = {}
        for (namespace, name), secret in seen.objects.items():
            found = kept(secret.metadata) if secret is not None else None
            if found is not None:
                self.secrets[found.key] = found
            else:
                self.secrets.pop((namespace, name.removeprefix(labels.BOOTSTRAP_PREFIX)), None)

    def wrote(self, secret: Kept) -> None:
        """We have just written it: its watch will say so too, but what is to be done is asked before that."""
        if self.secrets is not None:
            self.secrets[secret.key] = secret

    def revised(self, key: SecretKey, *, roots: str | None = None, owner_uid: str | None = None) -> None:
        """We have just changed it."""
        if self.secrets is not None and (before := self.secrets.get(key)) is not None:
            changes = {"roots": roots, "owner_uid": owner_uid}
            self.secrets[key] = structs.replace(before, **{name: new for name, new in changes.items() if new})

    def removed(self, key: SecretKey) -> None:
        """We have just deleted it."""
        if self.secrets is not None:
            self.secrets.pop(key, None)

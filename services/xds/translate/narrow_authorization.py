"""An older listener with the newest's external authorization: who has to be asked now is asked there, too.

Apart from `narrow`, whose rules are those of access control: here a question is put into an older form, or a stricter
one into the place of another. Where that cannot be known, since nothing of the newest may be served, nobody comes in.
"""

from collections.abc import Iterator

from envoy.config.listener.v3.listener_components_pb2 import FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.rbac.v3.rbac_pb2 import RBAC
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

from services.xds.translate.access import HTTP_FILTER, NETWORK_FILTER, per_connection
from services.xds.translate.authorization import FILTER
from services.xds.translate.filters import HTTP_MANAGER, network_filter
from services.xds.translate.messages import packed

NOBODY = RBAC(action=RBAC.Action.ALLOW)
"""Rules without a policy deny everything."""


def ask_as_now(older: Listener, newest: Listener) -> None:
    """Changes `older`. A chain that the newest does not have stays: its routes deny everything."""
    now = {chain.name: chain for chain in newest.filter_chains}
    for chain in older.filter_chains:
        if not now:
            _close(chain)
        elif chain.name in now:
            _ask(chain, now[chain.name])


def _close(chain: FilterChain) -> None:
    if any(_managers(chain)):
        chain.filters.insert(0, network_filter(NETWORK_FILTER, per_connection(NOBODY, chain.name)))


def _ask(chain: FilterChain, newest: FilterChain) -> None:
    """Whom the newest asks; where it asks nobody, whoever the older asks."""
    asked = [each for _, manager in _managers(newest) for each in manager.http_filters if each.name == FILTER]
    for place, manager in _managers(chain) if asked else ():
        others = [each for each in manager.http_filters if each.name != FILTER]
        behind = next(at for at, each in enumerate(others, start=1) if each.name == HTTP_FILTER)
        del manager.http_filters[:]
        manager.http_filters.extend([*others[:behind], *asked, *others[behind:]])
        chain.filters[place].typed_config.CopyFrom(packed(manager))


def _managers(chain: FilterChain) -> Iterator[tuple[int, HttpConnectionManager]]:
    """Of requests to the own app: those with access control."""
    for place, each in enumerate(chain.filters):
        if each.name == HTTP_MANAGER:
            manager = HttpConnectionManager.FromString(each.typed_config.value)
            if any(one.name == HTTP_FILTER for one in manager.http_filters):
                yield place, manager

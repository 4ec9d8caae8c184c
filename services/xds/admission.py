"""Who a proxy is, from its verified certificate alone.

Pure. The node id only has to agree; no address, header or metadata is asked.
"""

from collections.abc import Iterable

from msgspec import Struct

from osm.ads.peer import Denied
from osm.contracts.names import Identity, SpiffeId


class Proxy(Struct, frozen=True):
    """A proxy that has proven its name and identity."""

    id: str
    identity: Identity


def admit(uris: Iterable[str], node_id: str, trust_domain: str) -> Proxy:
    """The proxy behind a client certificate with these URI names. Raises Denied, with the reason.

    A mesh leaf is not enough: only certificates made for a proxy's stream to xds carry a proxy id.
    """
    found = tuple(uris)
    names = [name for uri in found if (name := SpiffeId.parse(uri)) is not None]
    if len(found) != 1 or len(names) != 1:
        raise Denied(
            f"the client certificate must carry one SPIFFE URI of this mesh; found {', '.join(found) or 'none'}"
        )
    name = names[0]
    if name.trust_domain != trust_domain:
        raise Denied(f"the client certificate is of trust domain {name.trust_domain!r}; this mesh is {trust_domain!r}")
    if name.proxy_id is None:
        raise Denied(f"the client certificate of {name.identity} is a workload's; a proxy's certificate is needed here")
    if node_id != name.proxy_id:
        raise Denied(f"node.id is {node_id!r} but the client certificate is of proxy {name.proxy_id!r}")
    return Proxy(name.proxy_id, name.identity)

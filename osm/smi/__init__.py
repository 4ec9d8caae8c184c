"""SMI and OSM policy objects → contracts, with everything that is wrong with them. Pure.

Parsed here is what one document says by itself. Whether the services, accounts and route groups it names exist
is the catalog's question.

    groups      which API groups, versions and kinds there are
    shape       what every such object has, and how its structs read
    access      TrafficTarget
    specs       HTTPRouteGroup, TCPRoute
    regex       which regular expressions Envoy takes
    durations   how long, as Go writes it
    split       TrafficSplit
    ingress     IngressBackend
    egress      Egress
    retry       Retry
    trafficsetting  UpstreamTrafficSetting; ratelimit, locallimit, descriptors: parts of it
    telemetry   Telemetry
    extension   ExtensionService
    meshconfig  MeshConfig, its fields; meshsettings: what they mean
    newpods     what it says of pods yet to be made
    onemesh     which MeshConfig counts
    check       all problems of a folder at once
"""

from osm.contracts.policies import AnyPolicy
from osm.smi.groups import POLICY_KINDS, is_policy
from osm.smi.parsing import parse

__all__ = ["POLICY_KINDS", "AnyPolicy", "is_policy", "parse"]

"""The traffic settings of one service: which UpstreamTrafficSetting is in force, and what is wrong with the others.

Of several for one service the first by name counts as a whole: limits of two objects are not mixed, so that whoever
reads one of them knows all there is. Pure.
"""

from collections.abc import Sequence

from osm.contracts.catalog import ServiceSettings
from osm.contracts.endpoints import HTTP_PROTOCOLS, Service
from osm.contracts.names import ObjectRef
from osm.contracts.problem import Problem, Severity
from osm.contracts.traffic_settings import UpstreamTrafficSetting
from services.catalog.reference_lookup import Reading, reference
from services.catalog.references import missing


def resolve_settings(
    setting: UpstreamTrafficSetting, read: Reading
) -> tuple[ServiceSettings | None, tuple[Problem, ...]]:
    """What the object comes to; None if there is no such service."""
    name = setting.service or ""
    service = read.find(Service, setting.namespace, name)
    if service is None:
        what = f"{missing(Service, setting.namespace, name, read)}; nothing is limited"
        return None, (_problem(setting, "spec.host", what),)
    return ServiceSettings(origin=reference(setting), settings=setting.settings), _idle(setting, service)


def overruled(settings: Sequence[UpstreamTrafficSetting]) -> dict[ObjectRef, tuple[Problem, ...]]:
    """All but the first of those of one service, sorted by name."""
    first = reference(settings[0]) if settings else None
    what = f"{first} speaks of this service already, and comes first by name; this one changes nothing"
    return {reference(each): (_problem(each, "spec.host", what),) for each in settings[1:]}


def _idle(setting: UpstreamTrafficSetting, service: Service) -> tuple[Problem, ...]:
    """Limits of requests, where nobody speaks HTTP."""
    said = setting.settings
    if not service.ports or any(port.protocol in HTTP_PROTOCOLS for port in service.ports):
        return ()
    found = {
        "spec.rateLimit.local.http": said.local_http,
        "spec.rateLimit.global.http": said.global_http,
        "spec.httpRoutes": said.routes,
    }
    what = f'no port of service "{setting.service}" speaks HTTP: this limits nothing'
    return tuple(_problem(setting, field, what, "warning") for field, limit in found.items() if limit)


def _problem(setting: UpstreamTrafficSetting, field: str, what: str, severity: Severity = "error") -> Problem:
    return Problem(subject=reference(setting), field=field, what=what, severity=severity)

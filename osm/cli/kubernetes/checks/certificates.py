"""Whether certificates are in their time. Pure."""

from collections.abc import Iterator

from osm.cli.age import age
from osm.cli.kubernetes.checks.facts import After, Cert
from osm.cli.kubernetes.checks.line import Line, error, ok, warning

CERTIFICATES = "certificates"

SOON_S = 30 * 24 * 3600
"""A month: the time that an organisation takes to replace a root by hand."""


def certificates(facts: After) -> Iterator[Line]:
    for each in facts.certificates:
        yield _judged(each, facts.now_s, facts.mesh.namespace)


def _judged(found: Cert, now_s: float, home: str) -> Line:
    left_s = found.not_after_s - now_s
    if found.why:
        remedy = f"kubectl logs -n {home} -l app=osm-prepare: it makes what is missing"
        return error(CERTIFICATES, f"{found.where}: {found.why}", remedy)
    if left_s <= 0:
        return error(
            CERTIFICATES, f"{found.where} ended {age(-left_s)} ago", "put a new one there, and restart what reads it"
        )
    if found.not_before_s > now_s:
        when = age(found.not_before_s - now_s)
        return error(CERTIFICATES, f"{found.where} is valid only in {when}", "check the clocks of the nodes")
    if left_s < SOON_S:
        return warning(CERTIFICATES, f"{found.where} ends in {age(left_s)}", "put a new one there in time")
    return ok(CERTIFICATES, f"{found.where} is {age(now_s - found.not_before_s)} old, and ends in {age(left_s)}")

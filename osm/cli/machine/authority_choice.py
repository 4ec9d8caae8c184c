"""Who issues certificates in a mesh on this machine: those of certmgr's variables that say so, and no others. Pure.

Everything else such a mesh sets itself; where its root comes from is the one thing that a laptop may share with
production.
"""

from collections.abc import Mapping

PREFIX = "OSM_CERTMGR_"
CHOICES = ("PROVIDER", "ROOT_FILE", "CA_TIMEOUT_S", "CA_CONCURRENCY")
GROUPS = ("EXTERNAL_", "VAULT_", "CERT_MANAGER_")


def authority_choice(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables, as they are; empty is the built-in root."""
    return {
        name: value
        for name, value in sorted(environment.items())
        if name.startswith(PREFIX) and _chooses(name.removeprefix(PREFIX))
    }


def _chooses(field: str) -> bool:
    return field in CHOICES or field.startswith(GROUPS)

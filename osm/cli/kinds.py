"""The kinds of objects that proxies are told of, under the names that people give them. Pure.

Apart from `in_force`, which judges what is said of an object: these are known before any mesh is asked.
"""

from osm.smi import POLICY_KINDS

KINDS = POLICY_KINDS | {"Service"}
"""Of workloads, accounts and namespaces proxies hear through these alone: to wait for one of those would never end."""


def means(asked: str, kind: str) -> bool:
    """Whether `asked` is that kind: in any case, singular or plural."""
    one = kind.lower()
    many = f"{one.removesuffix('y')}ies" if one.endswith("y") else f"{one}s"
    return asked.lower() in (one, many, f"{one}es")

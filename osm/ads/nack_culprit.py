"""Which resource of a rejected response is the culprit, by the names Envoy quotes in its error.

Envoy lists clusters and listeners by name ("Error adding/updating cluster(s) a: …, b: …"); for routes, endpoints and
secrets it often names nothing. Separate since it is the only place that reads Envoy's prose.
"""

import re
from collections.abc import Iterable

_OF_THE_MACHINE = re.compile(
    r"cannot bind|[Aa]ddress already in use|[Cc]annot assign requested address|[Pp]ermission denied"
)

_NAME_GOES_ON_BEFORE = r"(?<![\w./|-])"
_NAME_GOES_ON_AFTER = r"(?![\w/|-]|\.\w|\.\.\.\(truncated\))"  # where Envoy cuts its words, a name may be cut too


def culprits(detail: str, suspects: Iterable[str]) -> frozenset[str]:
    """Those of `suspects` that `detail` names as whole words; empty when it names none.

    A name is not found inside a longer one: `web` is not blamed for `web-v1`.
    """
    return frozenset(name for name in suspects if name and name in detail and _stands_alone(name, detail))


def is_of_the_machine(detail: str) -> bool:
    """Whether Envoy speaks of where it runs (a port that is taken) and not of the resource: others may well take it."""
    return _OF_THE_MACHINE.search(detail) is not None


def _stands_alone(name: str, detail: str) -> bool:
    return re.search(_NAME_GOES_ON_BEFORE + re.escape(name) + _NAME_GOES_ON_AFTER, detail) is not None

"""The words of error sentences: how a value is shown, what a type is called, what is nearest to a misspelt name.

Apart from `convert`, so that every parser's sentences read alike.
"""

import difflib
from collections.abc import Collection

LABEL = "a name of at most 63 lower-case letters, digits and `-`"
NAME = "a name of at most 253 lower-case letters, digits, `-` and `.`"

QUOTED_MAX_CHARACTERS = 60
"""More of a user's text does not help to find it, and a status line has to stay small."""


def shown(value: object) -> str:
    """A user's value as an error sentence quotes it."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    text = text if len(text) <= QUOTED_MAX_CHARACTERS else text[:QUOTED_MAX_CHARACTERS] + "…"
    return f'"{text}"' if isinstance(value, str) else text


def nearest(found: str, allowed: Collection[str]) -> str:
    """What may stand instead of `found`, as the end of a sentence."""
    close = difflib.get_close_matches(found, allowed, n=1)
    hint = f" (did you mean `{close[0]}`?)" if close else ""
    return f"allowed are {', '.join(sorted(allowed))}{hint}" if allowed else "nothing is allowed here"

"""Which regular expressions Envoy takes: RE2's language, judged without RE2.

Apart from the kinds that hold them, and pure. What RE2 lacks is refused by name (lookaround, backreferences,
possessive and atomic groups); what RE2 has and Python has not is rewritten; the rest is for Python's compiler
to judge. Not found here, and left to Envoy's own rejection: a script of Unicode that there is not, and an expression
whose repetitions multiply beyond RE2's memory.
"""

import re

MAX_REPEAT = 1000
"""RE2 refuses more repetitions in one `{n,m}`."""

MAX_CHARS = 10_000
"""Longer than any path; to judge ten times as many takes a second, in which nothing else is judged."""

_GROUPS_REFUSED = {
    "=": "lookahead `(?=`",
    "!": "lookahead `(?!`",
    "<=": "lookbehind `(?<=`",
    "<!": "lookbehind `(?<!`",
    ">": "atomic group `(?>`",
    "P=": "backreference `(?P=`",
    "P>": "recursion `(?P>`",
    "(": "conditional `(?(`",
    "#": "comment `(?#`",
}
_ESCAPES = frozenset("ABDSWabdfnrstvwxz0QEpPC")
_REWRITTEN = {"A": r"(?:\A)", "B": r"(?:\B)", "C": ".", "b": r"(?:\b)", "z": r"(?:\Z)"}
_NAMED_GROUP = re.compile(r"P?<([A-Za-z_]\w*)>")
_FLAGS = re.compile(r"[imsU]*(?:-[imsU]+)?([:)])")
_REPEAT = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_QUANTIFIED = re.compile(r"(?:[*+?]|\{\d+(?:,\d*)?\})(\+)")
_UNICODE_CLASS = re.compile(r"[pP](?:\{\^?\w+\}|[A-Z])")
_HEX = re.compile(r"x(?:\{[0-9A-Fa-f]{1,6}\}|[0-9A-Fa-f]{2})")
_REPEATED_ANCHOR = re.compile(r"[\^$](?=[*+?]|\{\d)")
_NOT_IN_CLASS = frozenset("ABCQbz")
_POSIX_CLASS = re.compile(r"\[:\^?(\w+):\]")
_POSIX_NAME = re.compile("alnum|alpha|ascii|blank|cntrl|digit|graph|lower|print|punct|space|upper|word|xdigit")
_SETS = frozenset({r"\d", r"\D", r"\s", r"\S", r"\w", r"\W"})


class _Refused(Exception):
    """Not RE2; the message says why."""


def complaint(pattern: str) -> str | None:
    """Why Envoy would not take `pattern`; None if it would."""
    if len(pattern) > MAX_CHARS:
        return f"found {len(pattern)} characters, allowed are {MAX_CHARS}"
    rewritten = ""
    try:
        rewritten = _rewritten(pattern)
        re.compile(rewritten)
    except _Refused as refused:
        return str(refused)
    except re.error as error:
        placed = error.pos is not None and rewritten == pattern
        return f"{error.msg} at character {(error.pos or 0) + 1}" if placed else error.msg
    except (OverflowError, RecursionError):
        return "it is too large"
    return None


def _rewritten(pattern: str) -> str:
    """`pattern` in Python's spelling. Raises _Refused."""
    done, at = "", 0
    while at < len(pattern):
        piece, length = _piece(pattern, at)
        done += piece
        at += length
    return done


def _piece(pattern: str, at: int) -> tuple[str, int]:
    """What stands at `at`, in Python's spelling, and how many characters of the pattern it is."""
    here = pattern[at]
    if here == "\\":
        return _escape(pattern, at)
    if here == "[":
        return _character_class(pattern, at)
    if pattern.startswith("(?", at):
        return _group(pattern, at)
    if _REPEATED_ANCHOR.match(pattern, at):
        return f"(?:{here})", 1
    if quantified := _QUANTIFIED.match(pattern, at):
        raise _Refused(f"possessive quantifier `{quantified[0]}` at character {at + 1}; RE2 has none")
    if repeat := _REPEAT.match(pattern, at):
        if max(_times(repeat[1]), _times(repeat[2] or "")) > MAX_REPEAT:
            raise _Refused(f"more than {MAX_REPEAT} repetitions at character {at + 1}")
        return repeat[0], len(repeat[0])
    return ("\\{" if here == "{" else here), 1


def _times(digits: str) -> int:
    """Of thousands of digits Python makes no number."""
    significant = digits.lstrip("0")
    return int(significant or 0) if len(significant) <= len(str(MAX_REPEAT)) else MAX_REPEAT + 1


def _escape(pattern: str, at: int) -> tuple[str, int]:
    escaped = pattern[at + 1 : at + 2]
    if not escaped:
        raise _Refused("a backslash at the end")
    if escaped in "123456789":
        raise _Refused(f"backreference `\\{escaped}` at character {at + 1}; RE2 has none")
    if escaped == "Q":
        end = pattern.find("\\E", at)
        text = pattern[at + 2 : end if end >= 0 else len(pattern)]
        return re.escape(text), len(text) + (4 if end >= 0 else 2)
    for form, piece in ((_UNICODE_CLASS, r"\w"), (_HEX, "x")):
        if found := form.match(pattern, at + 1):
            return piece, 1 + len(found[0])
    if (escaped.isascii() and escaped.isalnum() and escaped not in _ESCAPES) or escaped in "pPxE":
        raise _Refused(f"unknown escape `\\{escaped}` at character {at + 1}")
    return _REWRITTEN.get(escaped, f"\\{escaped}"), 2


def _character_class(pattern: str, at: int) -> tuple[str, int]:
    end = at + 1
    done, last = "[", ""
    if pattern.startswith("^", end):
        done, end = "[^", end + 1
    first = True
    while end < len(pattern) and (pattern[end] != "]" or first):
        first = False
        last, length = _member(pattern, end, last)
        done, end = done + last, end + length
    if end >= len(pattern):
        raise _Refused(f"`[` without `]` at character {at + 1}")
    return done + "]", end + 1 - at


def _member(pattern: str, at: int, before: str) -> tuple[str, int]:
    """What stands at `at` inside a character class, after the member `before`: a set has no range, so `-` is itself."""
    here = pattern[at]
    if posix := _POSIX_CLASS.match(pattern, at):
        if not _POSIX_NAME.fullmatch(posix[1]):
            raise _Refused(f"unknown class `{posix[0]}` at character {at + 1}")
        return r"\w", len(posix[0])
    if here == "\\":
        if pattern[at + 1 : at + 2] in _NOT_IN_CLASS:
            raise _Refused(f"`{pattern[at : at + 2]}` inside a character class at character {at + 1}")
        return _escape(pattern, at)
    if here in "[]&|~" or (here == "-" and (before in _SETS or before.endswith("-"))):
        return f"\\{here}", 1
    return here, 1


def _group(pattern: str, at: int) -> tuple[str, int]:
    for start, name in _GROUPS_REFUSED.items():
        if pattern.startswith(start, at + 2):
            raise _Refused(f"{name} at character {at + 1}; RE2 has none")
    if named := _NAMED_GROUP.match(pattern, at + 2):
        return f"(?P<{named[1]}>", 2 + len(named[0])
    if flags := _FLAGS.match(pattern, at + 2):
        return ("(?:" if flags[1] == ":" else ""), 2 + len(flags[0])
    raise _Refused(f"unknown group `{pattern[at : at + 4]}` at character {at + 1}")

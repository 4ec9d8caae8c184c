"""Expressions that RE2 takes and refuses, after its published syntax."""

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osm.smi.regex import complaint


@pytest.mark.parametrize(
    "pattern",
    [
        ".*",
        "/books-bought",
        ".*a-book.*new",
        ".*-http-client/*.*",
        "^(.*?;)?(type=insider)(;.*)?$",
        r"/v\d+/[a-z]{2,5}(?:/.*)?",
        r"(?i)/shop",
        r"/a(?i)b",
        r"(?i-s:x)",
        r"(?P<id>\d+)",
        r"(?<id>\d+)",
        r"\p{Greek}+\pL",
        r"[[:alpha:]_-]+",
        r"[^[:space:]]",
        r"[]a]",
        r"[[a-z]",
        r"[a&&b||c~~d]",
        r"[\w-.]+@[[:alpha:]-9][\d-z]",
        r"[a-c-e]",
        r"\Qa.b(\E(c)",
        r"\Qa.b(",
        r"\x{10FFFF}\x41",
        r"\Aa\z",
        r"a{,5}",
        r"a{1000}",
        r"a{x}",
        r"\.\/\-\_",
        "^*a$?",
        "",
    ],
)
def test_what_re2_takes_is_taken(pattern: str) -> None:
    assert complaint(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"(?=a)", "lookahead `(?=` at character 1; RE2 has none"),
        (r"a(?!b)", "lookahead `(?!` at character 2; RE2 has none"),
        (r"(?<=a)b", "lookbehind `(?<=` at character 1; RE2 has none"),
        (r"(?<!a)b", "lookbehind `(?<!` at character 1; RE2 has none"),
        (r"(a)\1", r"backreference `\1` at character 4; RE2 has none"),
        (r"(?P<x>a)(?P=x)", "backreference `(?P=` at character 9; RE2 has none"),
        (r"(?>a)", "atomic group `(?>` at character 1; RE2 has none"),
        (r"(a)(?(1)b|c)", "conditional `(?(` at character 4; RE2 has none"),
        (r"a++", "possessive quantifier `++` at character 2; RE2 has none"),
        (r"a{2}+", "possessive quantifier `{2}+` at character 2; RE2 has none"),
        (r"a{1001}", "more than 1000 repetitions at character 2"),
        (r"a{3,5000}", "more than 1000 repetitions at character 2"),
        (f"a{{{'9' * 5_000}}}", "more than 1000 repetitions at character 2"),
        (f"a{{1,{'9' * 5_000}}}", "more than 1000 repetitions at character 2"),
        ("a" * 10_001, "found 10001 characters, allowed are 10000"),
        (r"a\Z", r"unknown escape `\Z` at character 2"),
        (r"\u0041", r"unknown escape `\u` at character 1"),
        (r"(?#x)", "comment `(?#` at character 1; RE2 has none"),
        (r"(?x)a", "unknown group `(?x)` at character 1"),
        (r"(a", "missing ), unterminated subpattern at character 1"),
        (r"a)", "unbalanced parenthesis at character 2"),
        (r"*a", "nothing to repeat at character 1"),
        (r"a**", "multiple repeat at character 3"),
        (r"[a", "`[` without `]` at character 1"),
        (r"[\b]", r"`\b` inside a character class at character 2"),
        ("a\\", "a backslash at the end"),
        (r"[[:letters:]]", "unknown class `[:letters:]` at character 2"),
        (r"[a-\d]", r"bad character range a-\d at character 2"),
        (r"[z-a]", "bad character range z-a at character 2"),
    ],
)
def test_what_re2_refuses_is_named(pattern: str, why: str) -> None:
    assert complaint(pattern) == why


@given(st.text(alphabet=st.sampled_from(list(r"ab1.*+?()[]{}\|^$-,:=!<>PQExpzZ&~#i")), max_size=25))
def test_no_text_makes_the_judgement_fail_or_warn(pattern: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        complaint(pattern)

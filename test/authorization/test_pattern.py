"""Patterns match as in PCRE, in linear time."""

import time

import pytest

from annexd.authorization.pattern import UnknownPattern, compile_pattern


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"^a.c$", "abc", "abc"),
        (r"[[:alpha:]]+[[:digit:]_]*", "-ab12_-", "ab12_"),
        (r"[^[:space:]]+", " a ", "a"),
        (r"[]a]+", "b]a]", "]a]"),
        (r"[[a]+", "b[a", "[a"),
        (r"[\]a]+", "b]a", "]a"),
        (r"(?<user>[a-z]+)@", "bob@x", "bob@"),
        (r"\Qa.b\E", "axb a.b", "a.b"),
        (r"[[:^alpha:]]+", "ab12c", "12"),
        (r"\p{L}+", "12ab", "ab"),
        (r"a{,3}", "aaa{,3}", "a{,3}"),
        (r"(?i)BOB", "bob", "bob"),
        (r"(?:a|b)+?", "abab", "a"),
        (r"bob\z", "bob", "bob"),
        (r"\d+", "\u0663 7", "7"),
        (r"\w+", "\xe9a", "a"),
        (r"\(\?<", "(?<", "(?<"),
        (r"a\*?", "a*", "a*"),
    ],
)
def test_matches_are_those_of_pcre(pattern: str, text: str, found: str) -> None:
    match = compile_pattern(pattern).search(text)
    assert match is not None
    assert match[0] == found


def test_case_is_that_of_ascii() -> None:
    assert compile_pattern("BOB", ignore_case=True).search("bob")
    assert not compile_pattern("\xc4", ignore_case=True).search("\xe4")


def test_a_name_that_is_not_valid_text_is_searched_byte_by_byte() -> None:
    assert compile_pattern("^..=(.*)$").search("\xe4=\udcff") == ("\xe4=\udcff", "\udcff")


@pytest.mark.parametrize("pattern", [r"^(([\w.])+)+[-?]", "^(a|aa)+$", "(a*)*b", "(.*)(.*)(.*)(.*)(.*)(.*)x$"])
def test_no_pattern_takes_more_than_linear_time(pattern: str) -> None:
    begun_s = time.thread_time()  # the load of other processes does not count
    assert compile_pattern(pattern).search("a" * 10_000 + "!") is None
    assert time.thread_time() - begun_s < 2


def test_a_pattern_whose_program_is_large_is_refused() -> None:
    assert compile_pattern(".{1000}").search("a" * 1000)
    with pytest.raises(UnknownPattern, match="too large"):
        compile_pattern(".{1000}", max_bytes=32 * 1024)


@pytest.mark.parametrize(
    ("pattern", "greedy", "ungreedy"),
    [
        ("a+", "aaa", "a"),
        ("a+?", "a", "aaa"),
        ("a*b", "aaab", "aaab"),
        ("a{2,3}", "aaa", "aa"),
        ("a{2,3}?", "aa", "aaa"),
        ("a?", "a", ""),
        ("[a?]+", "aaa", "a"),
        (r"(?:a)+", "aaa", "a"),
    ],
)
def test_ungreedy_inverts_every_quantifier(pattern: str, greedy: str, ungreedy: str) -> None:
    assert compile_pattern(pattern).search("aaab") == (greedy,)
    assert compile_pattern(pattern, ungreedy=True).search("aaab") == (ungreedy,)


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        "a**",
        "a++",
        r"\K",
        r"\Z",
        r"\h",
        "(?R)",
        "(?=a)",
        "(?<!a)b",
        "(?>a)",
        r"(a)\1",
        "[[:odd:]]",
        "[a--b]",
        "a{1001}",
        "\udcff(",
    ],
)
def test_unsupported_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(UnknownPattern):
        compile_pattern(pattern)

"""PCRE's regular expressions in Python: what they find."""

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
        (r"(?<=@)[a-z]+", "bob@x", "x"),
        (r"(?<!b)o", "bo o", "o"),
        (r"(?i)BOB", "bob", "bob"),
        (r"(?:a|b)+?", "abab", "a"),
        (r"bob\z", "bob", "bob"),
        (r"\d+", "\u0663 7", "7"),
        (r"\w+", "\xe9a", "a"),
        (r"\(\?<", "(?<", "(?<"),
        (r"a\*?", "a*", "a*"),
    ],
)
def test_what_pcre_finds_is_found(pattern: str, text: str, found: str) -> None:
    match = compile_pattern(pattern).search(text)
    assert match is not None
    assert match.group() == found


def test_case_is_that_of_ascii() -> None:
    assert compile_pattern("BOB", ignore_case=True).search("bob")
    assert not compile_pattern("\xc4", ignore_case=True).search("\xe4")


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
        ("a++", "aaa", "aaa"),
    ],
)
def test_ungreedy_turns_each_repetition_round(pattern: str, greedy: str, ungreedy: str) -> None:
    assert compile_pattern(pattern).search("aaab").group() == greedy  # type: ignore[union-attr]
    assert compile_pattern(pattern, ungreedy=True).search("aaab").group() == ungreedy  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "pattern", ["(", "a**", r"\K", r"\p{L}", r"\Q.\E", "(?R)", "[[:^alpha:]]", "[a--b]", "a{9999999999}"]
)
def test_what_cannot_be_searched_for_is_refused(pattern: str) -> None:
    with pytest.raises(UnknownPattern):
        compile_pattern(pattern)

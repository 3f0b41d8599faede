"""The unified map file: its mappings, and the warnings about malformed lines."""

from collections.abc import Mapping, Sequence

import pytest

from annexd.authorization.map_file import MapFile, next_field

PATH = "/etc/condor/map"
ALICE = "/DC=org/O=Example Site/CN=alice"


def map_of(text: str, *, literal: bool = False, **others: str) -> MapFile:
    files: Mapping[str, Sequence[tuple[str, str]]] = {
        PATH: [(PATH, text)],
        **{f"/etc/condor/{name}": [(f"/etc/condor/{name}", content)] for name, content in others.items()},
        "/etc/condor/map.d": [
            ("/etc/condor/map.d/1", "FS one first"),
            ("/etc/condor/map.d/2", "FS two second\nFS one x"),
        ],
    }

    def read(path: str) -> Sequence[tuple[str, str]]:
        if path not in files:
            raise FileNotFoundError(2, "No such file or directory")
        return files[path]

    return MapFile.read(PATH, read, literal_keys=literal)


# --- lines


@pytest.mark.parametrize(
    ("line", "name", "user"),
    [
        ("SSL ^/DC=org.*/CN=alice$ alice@site.org", ALICE, "alice@site.org"),
        (r'SSL "^/DC=org/O=Example Site/CN=([^/]+)$" \1@site.org', ALICE, "alice@site.org"),
        (r"SSL CN=([a-z]+)$ \1", ALICE, "alice"),
        (r"SSL /O=.*/CN=(.*) \1@\0", ALICE, "alice@/O=Example Site/CN=alice"),
        (r"ssl alice alice@site.org", ALICE, "alice@site.org"),
        ("  SSL\talice \t alice@site.org \r", ALICE, "alice@site.org"),
        ("SSL alice alice@site.org and what is behind it", ALICE, "alice@site.org"),
        (r'SSL "the \"alice\"" alice@site.org', 'the "alice"', "alice@site.org"),
        (r'SSL "C=\\d\.x" alice', "C=1.x", "alice"),
        ("SSL ALICE alice@site.org", ALICE, None),
        ("SSL ^alice alice@site.org", ALICE, None),
        ("FS alice alice@site.org", ALICE, None),
        ("# SSL alice alice@site.org", ALICE, None),
        ("SSL /alice/ alice", ALICE, None),
        (r"SSL (alice)|(bob)() \1-\2-\3", "bob", r"-bob-"),
        (r"SSL (alice)|(bob) \1-\2", "alice", r"alice-\2"),
        (r"SSL alice \a-\\1-\9", "alice", r"\a-\\1-\9"),
        ('SSL alice "a b@site.org"', "alice", "a b@site.org"),
        ('SSL "alice" "never closed', "alice", "never closed"),
    ],
)
def test_a_principal_is_a_regular_expression(line: str, name: str, user: str | None) -> None:
    found = map_of(line)
    assert found.warnings == ()
    assert found.canonical_user("SSL", name) == user


@pytest.mark.parametrize(
    ("line", "name", "user"),
    [
        ("SSL alice alice@site.org", "alice", "alice@site.org"),
        ("SSL alice alice@site.org", "alice2", None),
        ("SSL ali.e alice@site.org", "alice", None),
        (f'SSL "{ALICE}" alice@site.org', ALICE, "alice@site.org"),
        (r"SSL alice \0@site.org-\1", "alice", r"alice@site.org-\1"),
        ("SSL /^ALICE$/i alice@site.org", "alice", "alice@site.org"),
        ("SSL /^ALICE$/ alice@site.org", "alice", None),
        (r"SSL /^\/O=(.*?) (.*)\/CN=/ \1-\2", "/O=a b/CN=", "a-b"),
        (r"SSL /^(.*)@(.*)$/U \1-\2", "a@b@c", "a-b@c"),
        (r"SSL /^(.*?)@(.*)$/Ui \1-\2", "a@b@c", "a@b-c"),
        ("SSL /two words/ both@site.org", "of two words", "both@site.org"),
    ],
)
def test_with_literal_keys_only_slashes_make_a_regular_expression(line: str, name: str, user: str | None) -> None:
    found = map_of(line, literal=True)
    assert found.warnings == ()
    assert found.canonical_user("SSL", name) == user


@pytest.mark.parametrize("literal", [False, True])
def test_the_first_matching_line_decides(literal: bool) -> None:
    lines = "SSL alice first\nFS alice other\nSSL alice second\nSSL /a/ third\nSSL bob fourth"
    found = map_of(lines, literal=literal)
    assert found.canonical_user("SSL", "alice") == "first"
    assert found.canonical_user("FS", "alice") == "other"
    assert found.canonical_user("SSL", "bob") == "fourth"
    assert found.canonical_user("SSL", "carol") == ("third" if literal else None)


@pytest.mark.parametrize(
    ("line", "field", "rest"),
    [
        ("", "", ""),
        ("  a b", "a", " b"),
        ('"a b"c', "a b", "c"),
        ('"a\\', "a", ""),
        ('"a\\\\" b', "a\\", " b"),
        ('"a\\n" b', "a\\n", " b"),
        ('a"b c" d', 'a"b', ' c" d'),
    ],
)
def test_a_line_is_split_into_words_as_by_htcondor(line: str, field: str, rest: str) -> None:
    assert next_field(line)[:2] == (field, rest)


# --- included files


def test_an_included_file_is_inserted_at_its_line() -> None:
    found = map_of("@include more\nFS a last\nFS b last", more="FS a more\nFS c more")
    assert [found.canonical_user("FS", name) for name in "abc"] == ["more", "last", "more"]


def test_the_files_of_a_directory_are_read_in_order() -> None:
    found = map_of("@include /etc/condor/map.d")
    assert found.canonical_user("FS", "one") == "first"
    assert found.canonical_user("FS", "two") == "second"


# --- malformed lines


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("SSL alice", "a line needs a method, a principal and a canonical user"),
        ("SSL", "a line needs a method, a principal and a canonical user"),
        ('SSL "" alice', "a line needs a method, a principal and a canonical user"),
        ("SSL (alice alice", "invalid regular expression '(alice': missing ): (alice"),
        ("SSL a\\Kb alice", "invalid regular expression 'a\\\\Kb': invalid escape sequence: \\K"),
        ("SSL [[:odd:]] alice", "invalid character class range: [:odd:]"),
        ("@include", "@include names no file"),
    ],
)
def test_a_malformed_line_is_ignored_and_reported(line: str, expected: str) -> None:
    found = map_of(f"FS before b\n{line}\nFS after a")
    [warning] = found.warnings
    assert warning.startswith(f"{PATH}, line 2: ")
    assert expected in warning
    assert found.canonical_user("FS", "before") == "b"
    assert found.canonical_user("FS", "after") == "a"


def test_a_malformed_line_of_an_included_file_is_reported_with_that_file() -> None:
    found = map_of("@include more", more="FS ok fine\nFS ( x")
    assert found.warnings[0].startswith("/etc/condor/more, line 2: invalid regular expression '('")


def test_an_included_file_cannot_include_another() -> None:
    found = map_of("@include more", more="@include map\nFS a b")
    assert found.warnings[0].startswith("/etc/condor/more, line 1: an included file cannot include another")
    assert found.canonical_user("FS", "a") == "b"


def test_a_missing_file_is_reported_and_maps_nobody() -> None:
    found = MapFile.read("/nowhere", lambda _path: (_ for _ in ()).throw(FileNotFoundError(2, "No such file")))
    assert found.warnings == ("the map file /nowhere cannot be read: No such file; its lines are ignored",)
    assert found.canonical_user("FS", "alice") is None
    assert "the map file /etc/condor/gone cannot be read" in map_of("@include gone").warnings[0]

"""Entries are parsed as in HTCondor, and faults are reported."""

import pytest

from annexd.authorization.entry import fault, is_dns_name, matches, parse_entry


@pytest.mark.parametrize(
    ("text", "user", "host"),
    [
        ("bob@site", "bob@site", "*"),
        ("*@site", "*@site", "*"),
        ("*", "*", "*"),
        ("node.site", "*", "node.site"),
        ("10.1.*", "*", "10.1.*"),
        ("fe80::1", "*", "fe80::1"),
        ("bob@site/node.site", "bob@site", "node.site"),
        ("bob@site/10.1.*", "bob@site", "10.1.*"),
        ("*/node.site", "*", "node.site"),
        ("*/*", "*", "*"),
        ("*/10", "*", "10"),
        ("10.1.0.0/16", "*", "10.1.0.0/16"),
        ("10.1.0.0/255.255.0.0", "*", "10.1.0.0/255.255.0.0"),
        ("fe80::/10", "*", "fe80::/10"),
        ("bob@site/10.1.0.0/16", "bob@site", "10.1.0.0/16"),
        ("*/10.1.0.0/16", "*", "10.1.0.0/16"),
        ("*/*/*", "*", "*/*"),
        ("bob/node.site", "bob", "node.site"),
        ("node/bob@site", "node", "bob@site"),
        ("/node.site", "", "node.site"),
    ],
)
def test_an_entry_is_split_into_user_and_host(text: str, user: str, host: str) -> None:
    entry = parse_entry(text, pool_equivalent=False)
    assert (entry.users, entry.host) == ((user,), host)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("bob@site", "BOB@Site"),
        ("*@site", "bob@site"),
        ("bob@*", "bob@site"),
        ("b*@site", "bob@site"),
        ("*ob@s*", "bob@site"),
        ("b*@s*", "bob@site"),
        ("*", ""),
        ("**", "bob"),
        ("a*b*c", "axb*c"),
    ],
)
def test_a_pattern_ignores_case(pattern: str, text: str) -> None:
    assert matches(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("bob@site", "bob@site2"),
        ("bob@site", "xbob@site"),
        ("*@site", "bob@site.evil"),
        ("bob*bob", "bob"),
        ("*a*b*", "xayb"),
        ("a*b*c", "axbyc"),
        ("", "bob"),
        ("kate@site", "\N{KELVIN SIGN}ate@site"),
    ],
)
def test_a_pattern_matches_nothing_else(pattern: str, text: str) -> None:
    assert not matches(pattern, text)


@pytest.mark.parametrize("user", ["condor@site", "CONDOR@site", "condor_pool@site"])
def test_condor_and_condor_pool_are_equivalent_unless_disabled(user: str) -> None:
    entry = parse_entry(user, pool_equivalent=True)
    assert entry.admits_user("condor@site")
    assert entry.admits_user("condor_pool@site")
    assert not entry.admits_user("condor@other")
    apart = parse_entry(user, pool_equivalent=False)
    assert apart.admits_user("condor@site") != apart.admits_user("condor_pool@site")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("bob/10.1.2.3", "has no domain"),
        ("node/bob@site", "has no domain"),
        ("*/10.1.2.3/255.0.255.0", "neither an address"),
        ("10.1.2.3:9618", "neither an address"),
        ("<10.1.2.3:9618>", "neither an address"),
        ("node_1.site", "neither an address"),
        ("fe80::*", "neither an address"),
        ("10.1.2.3/", "every IPv4 address"),
        (".", "every IPv4 address"),
        ("::ffff:0:0/96", "every IPv4 address"),
        ("::ffff:10.1.2.3/129", "more than 128 bits, so it matches ::ffff:10.1.2.3 only"),
        ("10.1.2.3/33", "10.1.2.3 only"),
    ],
)
def test_a_faulty_entry_is_reported(text: str, complaint: str) -> None:
    assert complaint in (fault(parse_entry(text, pool_equivalent=True)) or "")


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "*/*",
        "bob@site",
        "bob@site/*.site",
        "node.site",
        "10.1.*",
        "0.0.0.0/0",
        "::/0",
        "::ffff:10.1.2.3",
        "::ffff:10.1.0.0/112",
        "*/{:local_ips:}",
    ],
)
def test_a_valid_entry_is_not_reported(text: str) -> None:
    assert fault(parse_entry(text, pool_equivalent=True)) is None


@pytest.mark.parametrize(
    ("name", "valid"),
    [("a-1.b", True), ("", False), ("a..b", False), ("a.", False), ("a_b", False), ("é", False)],
)
def test_only_a_dns_name_is_ever_looked_up(name: str, valid: bool) -> None:
    assert is_dns_name(name) == valid

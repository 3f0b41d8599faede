"""The verdicts of configurations, and their reasons for the log."""

from collections.abc import Mapping, Sequence

import pytest

from annexd.authorization import FAMILY, PARENT, AuthorizationPolicy, Membership, Peer, Verdict
from annexd.authorization.peer import AccessCheck
from annexd.cedar.commands import CA_AUTH_CMD, CA_CMD, COMMANDS, DC_CONFIG_PERSIST, DC_NOP, DC_NOP_WRITE, Command
from annexd.cedar.levels import Level
from test.authorization.resolver import HERE, Resolver

BOB = Peer("10.1.2.3", "bob@site", "FS")


def policy(config: Mapping[str, str], subsystem: str = "ANNEXD") -> AuthorizationPolicy:
    return AuthorizationPolicy.read(config.get, subsystem)


def verify(
    config: Mapping[str, str],
    level: Level,
    peer: Peer = BOB,
    names: Mapping[str, Sequence[str]] | None = None,
    addresses: Mapping[str, Sequence[str]] | None = None,
) -> Verdict:
    return policy(config).verify(level, AccessCheck(peer, Resolver(names or {}, addresses or {}).lookups()))


CONFIGURATIONS: list[tuple[dict[str, str], Level, bool]] = [
    # No configuration: only ALLOW is open.
    ({}, Level.ALLOW, True),
    ({"DENY_ALLOW": "*", "DENY_DEFAULT": "*"}, Level.ALLOW, True),
    ({}, Level.READ, False),
    ({}, Level.ADMINISTRATOR, False),
    ({"ALLOW_READ": " , "}, Level.READ, False),
    ({"ALLOW_READ": "", "ALLOW_DEFAULT": "*"}, Level.READ, True),
    # Everybody.
    ({"ALLOW_READ": "*"}, Level.READ, True),
    ({"ALLOW_READ": "*/*"}, Level.READ, True),
    ({"ALLOW_READ": "*", "DENY_READ": "*"}, Level.READ, False),
    ({"ALLOW_READ": "*", "DENY_READ": "*/*"}, Level.READ, False),
    ({"ALLOW_READ": "*", "DENY_READ": "eve@site"}, Level.READ, True),
    ({"ALLOW_READ": "*", "DENY_READ": "bob@site"}, Level.READ, False),
    # Users, alone and with a host.
    ({"ALLOW_READ": "eve@site bob@site"}, Level.READ, True),
    ({"ALLOW_READ": "eve@site,bob@site"}, Level.READ, True),
    ({"ALLOW_READ": "eve@site,\n\tBOB@SITE"}, Level.READ, True),
    ({"ALLOW_READ": "*@site"}, Level.READ, True),
    ({"ALLOW_READ": "bob@*"}, Level.READ, True),
    ({"ALLOW_READ": "*@other"}, Level.READ, False),
    ({"ALLOW_READ": "bob"}, Level.READ, False),
    ({"ALLOW_READ": "bob@site/10.1.2.3"}, Level.READ, True),
    ({"ALLOW_READ": "bob@site/10.1.2.4"}, Level.READ, False),
    ({"ALLOW_READ": "eve@site/10.1.2.3"}, Level.READ, False),
    ({"ALLOW_READ": "bob@site/10.1.0.0/16"}, Level.READ, True),
    ({"ALLOW_READ": "bob@site/10.2.0.0/16"}, Level.READ, False),
    # Hosts.
    ({"ALLOW_READ": "10.1.2.3"}, Level.READ, True),
    ({"ALLOW_READ": "10.1.*"}, Level.READ, True),
    ({"ALLOW_READ": "*/10.1.*"}, Level.READ, True),
    ({"ALLOW_READ": "10.2.*"}, Level.READ, False),
    ({"ALLOW_READ": "10.1.0.0/16"}, Level.READ, True),
    ({"ALLOW_READ": "10.1.0.0/255.255.0.0"}, Level.READ, True),
    ({"ALLOW_READ": "::/0"}, Level.READ, False),
    ({"ALLOW_READ": "*", "DENY_READ": "10.1.*"}, Level.READ, False),
    # A level is implied by those above it, with their own DENY lists, and not by those below.
    ({"ALLOW_WRITE": "*"}, Level.READ, True),
    ({"ALLOW_ADMINISTRATOR": "*"}, Level.READ, True),
    ({"ALLOW_ADMINISTRATOR": "*"}, Level.WRITE, True),
    ({"ALLOW_DAEMON": "*"}, Level.WRITE, True),
    ({"ALLOW_NEGOTIATOR": "*"}, Level.READ, True),
    ({"ALLOW_NEGOTIATOR": "*"}, Level.WRITE, False),
    ({"ALLOW_CONFIG": "*"}, Level.READ, True),
    ({"ALLOW_CONFIG": "*"}, Level.WRITE, False),
    ({"ALLOW_ADVERTISE_MASTER": "*"}, Level.READ, True),
    ({"ALLOW_CLIENT": "*"}, Level.READ, False),
    ({"ALLOW_WRITE": "*"}, Level.ADMINISTRATOR, False),
    ({"ALLOW_READ": "eve@site", "ALLOW_WRITE": "bob@site"}, Level.READ, True),
    ({"ALLOW_WRITE": "*", "DENY_WRITE": "bob@site"}, Level.READ, False),
    ({"ALLOW_WRITE": "*", "DENY_WRITE": "bob@site", "ALLOW_ADMINISTRATOR": "*"}, Level.READ, False),
    ({"ALLOW_WRITE": "*", "DENY_WRITE": "bob@site", "ALLOW_DAEMON": "*"}, Level.READ, True),  # ADVERTISE_*
    ({"ALLOW_WRITE": "*", "DENY_WRITE": "bob@site", "ALLOW_CONFIG": "*"}, Level.READ, True),
    ({"ALLOW_READ": "*", "DENY_WRITE": "*"}, Level.READ, True),
    ({"ALLOW_ADMINISTRATOR": "*", "DENY_READ": "bob@site"}, Level.ADMINISTRATOR, True),
    ({"ALLOW_ADMINISTRATOR": "*", "DENY_READ": "bob@site"}, Level.READ, False),
    # The knob that defines a list.
    ({"ALLOW_DEFAULT": "*"}, Level.ADMINISTRATOR, True),
    ({"ALLOW_DEFAULT": "*", "ALLOW_ADMINISTRATOR": "eve@site"}, Level.ADMINISTRATOR, False),
    ({"ALLOW_DEFAULT": "*", "DENY_DEFAULT": "bob@site"}, Level.READ, False),
    ({"ALLOW_READ": "*", "DENY_DEFAULT": "bob@site"}, Level.READ, False),
    ({"ALLOW_DAEMON": "*"}, Level.ADVERTISE_STARTD, True),
    ({"ALLOW_DAEMON": "*", "ALLOW_ADVERTISE_STARTD": "eve@site"}, Level.ADVERTISE_STARTD, False),
    ({"ALLOW_DEFAULT": "*"}, Level.ADVERTISE_SCHEDD, True),
    ({"ALLOW_WRITE": "*"}, Level.DAEMON, False),
    ({"ALLOW_WRITE": "*", "LEGACY_ALLOW_SEMANTICS": "true"}, Level.DAEMON, True),
    ({"ALLOW_WRITE": "*", "LEGACY_ALLOW_SEMANTICS": "1"}, Level.ADVERTISE_MASTER, True),
    ({"ALLOW_WRITE": "*", "LEGACY_ALLOW_SEMANTICS": "true"}, Level.ADMINISTRATOR, False),
    ({"ALLOW_WRITE_ANNEXD": "*"}, Level.WRITE, True),
    ({"ALLOW_WRITE_SCHEDD": "*"}, Level.WRITE, False),
    ({"ALLOW_WRITE_ANNEXD": "eve@site", "ALLOW_WRITE": "*"}, Level.WRITE, False),
    ({"ALLOW_WRITE": "*", "DENY_WRITE_ANNEXD": "bob@site"}, Level.WRITE, False),
    ({"ALLOW_DEFAULT_ANNEXD": "*", "ALLOW_DEFAULT": "eve@site"}, Level.CONFIG, True),
    ({"ALLOW_READ": "eve@site", "ALLOW_DEFAULT_ANNEXD": "*"}, Level.READ, True),
    # Netgroups without members.
    ({"ALLOW_READ": "+admins"}, Level.READ, False),
    ({"ALLOW_READ": "+admins bob@site"}, Level.READ, True),
    ({"ALLOW_READ": "*", "DENY_READ": "+outcasts"}, Level.READ, True),
]


@pytest.mark.parametrize(("config", "level", "granted"), CONFIGURATIONS)
def test_the_verdict_for_bob_at_site_from_10_1_2_3(config: dict[str, str], level: Level, granted: bool) -> None:
    assert verify(config, level).granted == granted


def test_allow_is_open_to_any_peer_and_every_other_level_needs_an_address() -> None:
    peer = Peer("not an address", "unauthenticated@unmapped", None)
    assert verify({}, Level.ALLOW, peer).granted
    assert not verify({"ALLOW_READ": "*"}, Level.READ, peer).granted


def test_an_ipv6_peer_is_matched_by_ipv6_networks_only() -> None:
    peer = Peer("2001:db8::7", "bob@site", "FS")
    assert verify({"ALLOW_READ": "2001:db8::/32"}, Level.READ, peer).granted
    assert verify({"ALLOW_READ": "bob@site/2001:db8:*"}, Level.READ, peer).granted
    assert not verify({"ALLOW_READ": "0.0.0.0/0"}, Level.READ, peer).granted


def test_an_ipv4_peer_on_an_ipv6_socket_is_an_ipv4_peer() -> None:
    peer = Peer("::ffff:10.1.2.3", "bob@site", "FS")
    assert verify({"ALLOW_READ": "10.1.2.3"}, Level.READ, peer).granted
    assert not verify({"ALLOW_READ": "::/0"}, Level.READ, peer).granted


@pytest.mark.parametrize(
    "listed", ["::ffff:10.1.2.3", "bob@site/::ffff:10.1.2.3", "::ffff:10.1.0.0/112", "[::ffff:a01:203]"]
)
def test_an_ipv4_mapped_address_is_denied_as_ipv4(listed: str) -> None:
    assert not verify({"ALLOW_READ": "*", "DENY_READ": listed}, Level.READ, Peer("10.1.2.3", "bob@site", "FS")).granted
    assert verify({"ALLOW_READ": "*", "DENY_READ": listed}, Level.READ, Peer("10.2.2.3", "bob@site", "FS")).granted


def test_local_ips_matches_the_local_machine() -> None:
    config = {"ALLOW_READ": "*/{:Local_IPs:}"}
    assert verify(config, Level.READ, Peer(HERE, "bob@site", "FS")).granted
    assert not verify(config, Level.READ).granted


NODE = {"10.1.2.3": ["node.site", "www.site"]}
RESOLVED = {"node.site": ["10.1.2.3"], "www.site": ["10.1.2.3", "10.9.9.9"]}


@pytest.mark.parametrize("entry", ["node.site", "NODE.site", "*.site", "www.site", "bob@site/n*.site"])
def test_a_peer_is_known_by_its_host_names(entry: str) -> None:
    assert verify({"ALLOW_READ": entry}, Level.READ, names=NODE, addresses=RESOLVED).granted
    assert not verify({"ALLOW_READ": "*", "DENY_READ": entry}, Level.READ, names=NODE, addresses=RESOLVED).granted


def test_a_host_name_in_a_list_stands_for_its_addresses_too() -> None:
    assert verify({"ALLOW_READ": "alias.site"}, Level.READ, addresses={"alias.site": ["10.1.2.3"]}).granted
    assert not verify({"ALLOW_READ": "alias.site"}, Level.READ, addresses={"alias.site": ["10.1.2.4"]}).granted


def test_a_host_name_that_does_not_resolve_to_the_peer_is_ignored() -> None:
    forged = {"10.1.2.3": ["node.site"]}
    assert not verify({"ALLOW_READ": "*.site"}, Level.READ, names=forged).granted
    assert not verify({"ALLOW_READ": "*.site"}, Level.READ, names=forged, addresses={"node.site": ["10.1.2.4"]}).granted


def test_a_host_name_that_looks_like_an_address_does_not_count_as_one() -> None:
    names = {"10.9.9.9": ["10.1.evil.example"]}
    addresses = {"10.1.evil.example": ["10.9.9.9"]}
    peer = Peer("10.9.9.9", "bob@site", "FS")
    assert not verify({"ALLOW_READ": "10.1.*"}, Level.READ, peer, names, addresses).granted


def test_a_denial_by_name_overrides_a_permission_by_address() -> None:
    config = {"ALLOW_READ": "10.1.2.3", "DENY_READ": "www.site"}
    assert not verify(config, Level.READ, names=NODE, addresses=RESOLVED).granted


IN_GROUP = {
    "by user": Membership("group", "10.1.2.3", "bob", "site"),
    "by a host name": Membership("group", "www.site", "bob", "site"),
}


@pytest.mark.parametrize("member", IN_GROUP.values(), ids=IN_GROUP)
def test_a_netgroup_stands_for_its_users_and_hosts(member: Membership) -> None:
    def granted(**config: str) -> bool:
        return policy(config).verify(Level.READ, AccessCheck(BOB, Resolver(NODE, RESOLVED, {member}).lookups())).granted

    assert granted(ALLOW_READ="+group")
    assert not granted(ALLOW_READ="*", DENY_READ="eve@site +group")
    assert not granted(ALLOW_READ="+other")


def test_a_user_without_a_domain_is_looked_up_as_user_and_domain_of_a_netgroup() -> None:
    resolver = Resolver({}, {})
    policy({"ALLOW_READ": "+group"}).verify(Level.READ, AccessCheck(Peer("10.1.2.3", "bob", "FS"), resolver.lookups()))
    assert resolver.asked[0] == Membership("group", "10.1.2.3", "bob", "bob")


def test_the_resolver_is_asked_only_when_an_entry_for_this_user_needs_it() -> None:
    silent = Resolver({}, {})
    config = {"ALLOW_READ": "eve@site/node.site, bob@site", "DENY_READ": "eve@site/*.other"}
    assert policy(config).verify(Level.READ, AccessCheck(BOB, silent.lookups())).granted
    assert silent.asked == []


def test_the_names_of_a_peer_are_looked_up_once_per_decision() -> None:
    resolver = Resolver({}, {})
    config = {f"ALLOW_{level}": f"*.{level}.site *.site" for level in Level}
    assert not policy(config).verify(Level.READ, AccessCheck(BOB, resolver.lookups())).granted
    assert resolver.asked == ["10.1.2.3"]


@pytest.mark.parametrize(
    ("config", "needed"),
    [
        ({}, False),
        ({"ALLOW_READ": "*", "ALLOW_WRITE": "bob@site/10.1.* 10.1.0.0/16 */{:local_ips:}"}, False),
        ({"ALLOW_READ": "10.1.2.3:9618"}, False),
        ({"ALLOW_READ": "*.site *", "ALLOW_DAEMON": "*.site"}, False),
        ({"ALLOW_READ": "*.site 10.1.*"}, False),
        ({"ALLOW_READ": "10.2.*", "ALLOW_DAEMON": "*.site"}, True),
        ({"ALLOW_READ": "*", "DENY_READ": "*.evil"}, True),
        ({"ALLOW_READ": "+admins 10.1.*"}, False),
        ({"ALLOW_READ": "*", "DENY_READ": "+outcasts"}, True),
    ],
)
def test_names_are_looked_up_only_if_the_decision_depends_on_them(config: dict[str, str], needed: bool) -> None:
    resolver = Resolver({}, {})
    policy(config).verify(Level.READ, AccessCheck(BOB, resolver.lookups()))
    assert bool(resolver.asked) is needed


@pytest.mark.parametrize("listed", ["condor@site", "condor_pool@site", "Condor@*"])
@pytest.mark.parametrize("user", ["condor@site", "condor_pool@site"])
def test_the_pool_user_has_two_equivalent_names(listed: str, user: str) -> None:
    config = {"ALLOW_DAEMON": listed}
    assert verify(config, Level.DAEMON, Peer("10.1.2.3", user, "PASSWORD")).granted
    assert not verify({"ALLOW_DAEMON": "*", "DENY_DAEMON": listed}, Level.DAEMON, Peer("10.1.2.3", user, "FS")).granted


def test_the_names_of_the_pool_user_differ_if_so_configured() -> None:
    config = {"ALLOW_DAEMON": "condor@site", "USE_POOL_USERNAME_EQUIVALENT": "False"}
    assert verify(config, Level.DAEMON, Peer("10.1.2.3", "condor@site", "FS")).granted
    assert not verify(config, Level.DAEMON, Peer("10.1.2.3", "condor_pool@site", "FS")).granted


CLOSED = {f"DENY_{level}": "*" for level in Level}
OPEN_TO_PARENT = {Level.ALLOW, Level.READ, Level.WRITE, Level.ADMINISTRATOR, Level.ANNEX, Level.DAEMON, Level.CLIENT}
OPEN_TO_FAMILY = set(Level) - {Level.CONFIG}


@pytest.mark.parametrize("level", list(Level))
def test_inherited_sessions_have_their_levels_regardless_of_the_lists_but_never_config(level: Level) -> None:
    holed = policy(CLOSED).with_holes(PARENT, FAMILY)
    lookups = Resolver({}, {}).lookups()
    parent, family = (Peer("10.1.2.3", user, "FAMILY") for user in ("condor@parent", "condor@family"))
    assert holed.verify(level, AccessCheck(parent, lookups)).granted == (level in OPEN_TO_PARENT)
    assert holed.verify(level, AccessCheck(family, lookups)).granted == (level in OPEN_TO_FAMILY)


def test_a_name_alone_opens_no_hole() -> None:
    holed = policy(CLOSED).with_holes(PARENT, FAMILY)
    for user, method in [("condor@family", "CLAIMTOBE"), ("bob@site", "FAMILY"), ("Condor@Family", "FAMILY")]:
        peer = Peer("10.1.2.3", user, method)
        assert not holed.verify(Level.ADMINISTRATOR, AccessCheck(peer, Resolver({}, {}).lookups())).granted


def test_without_holes_an_inherited_session_is_subject_to_the_lists() -> None:
    peer = Peer("10.1.2.3", "condor@family", "FAMILY")
    assert not verify({"ALLOW_READ": "*"}, Level.ADMINISTRATOR, peer).granted


NO_READ = "nothing that implies READ is granted"


@pytest.mark.parametrize(
    ("config", "level", "reason"),
    [
        (
            {"ALLOW_ADMINISTRATOR": "eve@site"},
            Level.ADMINISTRATOR,
            "ALLOW_ADMINISTRATOR does not list bob@site from 10.1.2.3",
        ),
        ({}, Level.ADMINISTRATOR, "ALLOW_ADMINISTRATOR is not defined"),
        (
            {"ALLOW_DEFAULT": "eve@site"},
            Level.WRITE,
            "ALLOW_DEFAULT does not list bob@site from 10.1.2.3, and nothing that implies WRITE is granted",
        ),
        (
            {"ALLOW_READ": "*", "DENY_READ_ANNEXD": "*@site"},
            Level.READ,
            "DENY_READ_ANNEXD lists *@site, which covers bob@site from 10.1.2.3",
        ),
        (
            {"ALLOW_WRITE": "bob@site"},
            Level.READ,
            "WRITE implies READ: ALLOW_WRITE lists bob@site, which covers bob@site from 10.1.2.3",
        ),
        (
            {"ALLOW_READ": "*.other"},
            Level.READ,
            "ALLOW_READ does not list bob@site from 10.1.2.3 (node.site, www.site), and " + NO_READ,
        ),
    ],
)
def test_the_reason_names_the_knob_the_user_and_the_address(config: dict[str, str], level: Level, reason: str) -> None:
    assert verify(config, level, names=NODE, addresses=RESOLVED).reason == reason


def test_a_user_cannot_forge_a_log_line() -> None:
    peer = Peer("10.1.2.3", "bob\nPERMISSION GRANTED@site", "CLAIMTOBE")
    assert "\n" not in verify({}, Level.READ, peer).reason


def authorize(number: int, peer: Peer, config: Mapping[str, str]) -> Verdict:
    return policy(config).authorize(COMMANDS[number], peer, Resolver({}, {}).lookups())


@pytest.mark.parametrize("user", ["unauthenticated@unmapped", "bob@unmapped", "CONDOR_ANONYMOUS_USER", "bob@"])
def test_a_command_that_forces_authentication_refuses_users_without_a_domain(user: str) -> None:
    verdict = authorize(CA_AUTH_CMD, Peer("10.1.2.3", user, None), {"ALLOW_DEFAULT": "*"})
    assert not verdict.granted
    assert verdict.reason.startswith("CA_AUTH_CMD requires an authenticated user with a domain, not ")
    assert authorize(CA_AUTH_CMD, BOB, {"ALLOW_ANNEX": "*"}).granted


LIMITS: list[tuple[tuple[str, ...], bool]] = [
    ((), True),
    (("WRITE",), True),
    (("write",), True),
    (("ADMINISTRATOR",), True),
    (("DAEMON",), True),
    (("READ", " WRITE "), True),
    (("READ",), False),
    (("READ", "NEGOTIATOR", "CONFIG"), False),
    (("BOGUS",), False),
    (("",), False),
    (("ALLOW",), False),
]


@pytest.mark.parametrize(("limits", "granted"), LIMITS)
def test_a_session_has_the_levels_of_its_limits_and_the_implied_ones(limits: tuple[str, ...], granted: bool) -> None:
    peer = Peer("10.1.2.3", "bob@site", "IDTOKENS", limits)
    assert authorize(DC_NOP_WRITE, peer, {"ALLOW_DEFAULT": "*"}).granted == granted
    assert authorize(DC_NOP, peer, {}).granted


def test_limits_grant_nothing_that_the_lists_do_not() -> None:
    peer = Peer("10.1.2.3", "bob@site", "IDTOKENS", ("ADMINISTRATOR",))
    assert not authorize(DC_NOP_WRITE, peer, {"ALLOW_WRITE": "eve@site"}).granted


def test_the_reason_of_a_limited_session_names_its_limits() -> None:
    peer = Peer("10.1.2.3", "bob@site", "IDTOKENS", ("READ", "BO\nGUS"))
    reason = authorize(DC_NOP_WRITE, peer, {"ALLOW_WRITE": "*"}).reason
    assert reason == r"the session of bob@site from 10.1.2.3 is limited to READ, BO\nGUS, without WRITE"


EITHER = Command(1, "EITHER", Level.ADMINISTRATOR, (Level.CONFIG, Level.NEGOTIATOR))


@pytest.mark.parametrize("level", ["ADMINISTRATOR", "CONFIG", "NEGOTIATOR"])
def test_any_alternate_level_of_a_command_is_sufficient(level: str) -> None:
    decide = policy({f"ALLOW_{level}": "bob@site"}).authorize
    lookups = Resolver({}, {}).lookups()
    assert decide(EITHER, BOB, lookups).granted
    assert decide(EITHER, Peer("10.1.2.3", "bob@site", "IDTOKENS", (level,)), lookups).granted
    assert not decide(EITHER, Peer("10.1.2.3", "bob@site", "IDTOKENS", ("DAEMON",)), lookups).granted


def test_a_refusal_gives_the_reason_of_the_primary_level() -> None:
    verdict = policy({"ALLOW_NEGOTIATOR": "eve@site"}).authorize(EITHER, BOB, Resolver({}, {}).lookups())
    assert verdict == Verdict(False, "ALLOW_ADMINISTRATOR is not defined")


def test_an_alternate_level_of_allow_opens_a_command_to_a_limited_session() -> None:
    peer = Peer("10.1.2.3", "bob@site", "IDTOKENS", ("READ",))
    assert authorize(DC_CONFIG_PERSIST, peer, {}).granted


def test_each_fault_of_the_configuration_is_reported_once() -> None:
    config = {
        "ALLOW_DEFAULT": "+admins bob/10.1.2.3",
        "DENY_READ": "+, 10.1.2.3:9618",
        "LEGACY_ALLOW_SEMANTICS": "maybe",
    }
    user, host = (
        "it is not a network, and as user/host its user",
        "neither an address, a network nor a host name",
    )
    assert policy(config).warnings == (
        "LEGACY_ALLOW_SEMANTICS is 'maybe', neither true nor false; using False",
        f"ALLOW_DEFAULT: check 'bob/10.1.2.3': {user} 'bob' has no domain",
        "DENY_READ: check '+': the netgroup has no name",
        f"DENY_READ: check '10.1.2.3:9618': its host '10.1.2.3:9618' is {host}",
    )


def test_a_valid_configuration_has_no_warnings() -> None:
    assert policy({"ALLOW_READ": "*", "ALLOW_WRITE": "*@site/10.1.*", "DENY_WRITE": "*.evil"}).warnings == ()


# --- the permission to order annexes

ORDERS = (CA_AUTH_CMD, CA_CMD)
OTHERS = tuple(number for number in COMMANDS if number not in ORDERS)
BY_TOKEN = {limit: Peer("10.1.2.3", "bob@site", "IDTOKENS", (limit,)) for limit in (*Level, "BOGUS")}


@pytest.mark.parametrize("number", ORDERS)
def test_administrators_and_users_in_allow_annex_may_order_unless_in_deny_annex(number: int) -> None:
    may = {
        "ALLOW_ANNEX": {"ALLOW_ANNEX": "bob@site"},
        "by host": {"ALLOW_ANNEX": "bob@site/10.1.*"},
        "of this daemon": {"ALLOW_ANNEX_ANNEXD": "bob@site", "ALLOW_ANNEX": "eve@site"},
        "an administrator": {"ALLOW_ADMINISTRATOR": "bob@site"},
        "denied to others": {"ALLOW_ANNEX": "*@site", "DENY_ANNEX": "eve@site"},
        "no administrator": {"ALLOW_ANNEX": "bob@site", "DENY_ADMINISTRATOR": "bob@site", "ALLOW_ADMINISTRATOR": "*"},
    }
    may_not = {
        "no configuration": {},
        "by default": {"ALLOW_DEFAULT": "*", "ALLOW_ADMINISTRATOR": "root@site"},
        "permission to submit": {"ALLOW_WRITE": "*", "ALLOW_READ": "*", "ALLOW_DAEMON": "*", "ALLOW_CONFIG": "*"},
        "denied": {"ALLOW_ANNEX": "*", "DENY_ANNEX": "bob@*"},
        "denied to an administrator": {"ALLOW_ADMINISTRATOR": "bob@site", "DENY_ANNEX": "bob@site"},
        "denied by default": {"ALLOW_ANNEX": "*", "DENY_DEFAULT": "bob@site"},
        "another host": {"ALLOW_ANNEX": "bob@site/10.2.*"},
    }
    assert {name: authorize(number, BOB, config).granted for name, config in may.items()} == dict.fromkeys(may, True)
    assert {name: authorize(number, BOB, config).granted for name, config in may_not.items()} == dict.fromkeys(
        may_not, False
    )


@pytest.mark.parametrize("number", OTHERS)
def test_a_user_who_may_order_may_do_nothing_else(number: int) -> None:
    level_is_open = Level.ALLOW in {COMMANDS[number].level, *COMMANDS[number].alternate_levels}
    assert authorize(number, BOB, {"ALLOW_ANNEX": "bob@site"}).granted is level_is_open


@pytest.mark.parametrize("number", ORDERS)
def test_a_limited_token_orders_with_the_scope_annex_or_administrator_only(number: int) -> None:
    """A token for submitting jobs does not permit spending money."""
    config = {f"ALLOW_{level}": "*" for level in Level}
    granted = {limit for limit, peer in BY_TOKEN.items() if authorize(number, peer, config).granted}
    assert granted == {Level.ANNEX, Level.ADMINISTRATOR}


@pytest.mark.parametrize("number", OTHERS)
def test_a_token_limited_to_annex_does_nothing_else(number: int) -> None:
    config = {f"ALLOW_{level}": "*" for level in Level}
    level_is_open = Level.ALLOW in {COMMANDS[number].level, *COMMANDS[number].alternate_levels}
    assert authorize(number, BY_TOKEN[Level.ANNEX], config).granted is level_is_open

"""Properties that hold for every configuration and peer."""

from hypothesis import given
from hypothesis import strategies as st

from annexd.authorization import AuthorizationPolicy, Peer
from annexd.authorization.peer import AccessCheck
from annexd.cedar.levels import IMPLIES, Level
from test.authorization.resolver import Resolver

LEVELS = st.sampled_from([level for level in Level if level is not Level.ALLOW])
USERS = st.sampled_from(["bob@site", "condor@site", "condor_pool@site", "unauthenticated@unmapped", "bob"])
ADDRESSES = st.sampled_from(["10.1.2.3", "10.9.9.9", "::ffff:10.1.2.3", "2001:db8::1", "nowhere"])
PEERS = st.builds(Peer, ADDRESSES, USERS, st.none() | st.just("FS"))
USER_ENTRIES = ["bob@site", "*@site", "condor@*", "bob@site/node.site", "bob/10.1.2.3", "+group"]
HOST_ENTRIES = ["10.1.*", "*/10.0.0.0/8", "2001:db8::/32", "::/0", ".", "10.1.2.3:1", "*/{:local_ips:}"]
ENTRIES = st.sampled_from(["*", "*/*", "node.site", "*.site", *USER_ENTRIES, *HOST_ENTRIES])
LISTS = st.lists(ENTRIES, max_size=3).map(", ".join)
KNOBS = st.sampled_from(
    [f"{kind}_{level}{at}" for kind in ("ALLOW", "DENY") for level in [*Level, "DEFAULT"] for at in ("", "_ANNEXD")]
)
CONFIGURATIONS = st.dictionaries(KNOBS, LISTS, max_size=8)
RESOLVER = Resolver({"10.1.2.3": ["node.site"]}, {"node.site": ["10.1.2.3"]})
LOOKUPS = RESOLVER.lookups()


def granted(config: dict[str, str], level: Level, peer: Peer) -> bool:
    return AuthorizationPolicy.read(config.get, "ANNEXD").verify(level, AccessCheck(peer, LOOKUPS)).granted


@given(st.dictionaries(KNOBS, st.text() | LISTS, max_size=8), LEVELS, PEERS, st.text())
def test_any_text_in_the_lists_gives_a_verdict(config: dict[str, str], level: Level, peer: Peer, anything: str) -> None:
    granted(config, level, peer)
    granted(config, level, Peer(anything, anything, anything, (anything,)))


@given(CONFIGURATIONS, LEVELS, PEERS)
def test_a_user_denied_a_level_is_never_granted_it(config: dict[str, str], level: Level, peer: Peer) -> None:
    assert not granted({**config, f"DENY_{level}_ANNEXD": f"{peer.user}/* {peer.user}"}, level, peer)


@given(CONFIGURATIONS, LEVELS, PEERS, ENTRIES)
def test_one_more_denial_grants_nothing(config: dict[str, str], level: Level, peer: Peer, entry: str) -> None:
    for knob in [knob for knob in config if knob.startswith("DENY_") and config[knob]]:
        if granted({**config, knob: f"{config[knob]}, {entry}"}, level, peer):
            assert granted(config, level, peer)


@given(CONFIGURATIONS, LEVELS, PEERS, ENTRIES)
def test_one_more_permission_revokes_nothing(config: dict[str, str], level: Level, peer: Peer, entry: str) -> None:
    for knob in [knob for knob in config if knob.startswith("ALLOW_") and config[knob]]:
        if granted(config, level, peer):
            assert granted({**config, knob: f"{config[knob]}, {entry}"}, level, peer)


@given(CONFIGURATIONS.filter(lambda config: not any(knob.startswith("DENY") for knob in config)), LEVELS, PEERS)
def test_without_denials_a_level_grants_all_that_it_implies(config: dict[str, str], level: Level, peer: Peer) -> None:
    if granted(config, level, peer):
        assert all(granted(config, lower, peer) for lower in IMPLIES.get(level, ()))


@given(LEVELS, PEERS)
def test_an_empty_configuration_grants_nothing(level: Level, peer: Peer) -> None:
    assert not granted({}, level, peer)

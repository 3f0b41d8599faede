"""ALLOW_ANNEX permits orders and nothing else to a user, on a real pool with HTCondor's own tools."""

import re
from collections.abc import Iterator

import pytest

from annexd.tool import errors
from test.cloud import Cloud
from test.pool import DOMAIN
from test.system.site import Site
from test.system.tool import CONDOR_ANNEX, order_an_hour

CONFIG = f"""
ALLOW_ANNEX = alice@{DOMAIN}, bob@{DOMAIN}/127.*, mallory@{DOMAIN}
DENY_ANNEX = mallory@{DOMAIN}
SETTABLE_ATTRS_ADMINISTRATOR = NEW_*
ENABLE_RUNTIME_CONFIG = True
ENABLE_PERSISTENT_CONFIG = True
PERSISTENT_CONFIG_DIR = $(LOCAL_DIR)/persistent
"""


@pytest.fixture(scope="module")
def site(cloud: Cloud) -> Iterator[Site]:
    site = Site(cloud, CONFIG)
    (site.pool.directory / "persistent").mkdir()
    with site:
        yield site


def by_token(site: Site, user: str, *scopes: str) -> dict[str, str]:
    """Return the environment of a client with this user's token, limited to these scopes, and no other credentials."""
    folder = site.pool.directory / "-".join(["tokens", user, *scopes])
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "token").touch(mode=0o600)
    limits = [word for scope in scopes for word in ("-authz", scope)]
    (folder / "token").write_text(site.pool.token(f"{user}@{DOMAIN}", *limits) + "\n")
    return {"_CONDOR_SEC_TOKEN_DIRECTORY": str(folder), "_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS": "IDTOKENS"}


def may_order(site: Site, env: dict[str, str]) -> bool:
    """Return whether annexd considers this client's order, which is itself invalid: its lease has already ended."""
    [(reply, _code)] = site.send(site.request(EndOfLease=1), env=env)
    return reply is not None


@pytest.mark.parametrize("user", ["alice", "bob"])
def test_a_user_in_allow_annex_orders_and_sees_and_cancels(site: Site, user: str) -> None:
    """The order itself fails, because its key files do not belong to this user."""
    env = by_token(site, user)
    [(reply, _code)] = site.send(site.request(), env=env)
    assert reply is not None
    assert "AnnexID" in reply, reply
    status = site.pool.run(CONDOR_ANNEX, "-status", env=env)
    assert status.returncode == errors.OK, status
    cancelled = site.pool.run(CONDOR_ANNEX, "-cancel", "no-such-annex", env=env)
    assert cancelled.returncode not in {errors.OK, errors.NOT_AUTHORIZED, errors.COMMUNICATION}, cancelled


def test_an_administrator_may_order_without_being_listed(site: Site) -> None:
    assert may_order(site, by_token(site, "condor"))


@pytest.mark.parametrize(
    ("user", "scopes"),
    [
        ("mallory", ()),
        ("eve", ()),
        ("alice", ("READ",)),
        ("alice", ("WRITE",)),
        ("alice", ("ADVERTISE_STARTD", "ADVERTISE_MASTER")),
    ],
)
def test_everybody_else_is_refused(site: Site, user: str, scopes: tuple[str, ...]) -> None:
    """DENY_ANNEX lists mallory, no list has eve, and alice's tokens are limited to other scopes."""
    assert not may_order(site, by_token(site, user, *scopes))


def test_a_token_may_be_good_for_ordering_alone(site: Site) -> None:
    env = by_token(site, "alice", "ANNEX")
    assert may_order(site, env)
    asked = site.pool.tool("condor_config_val", "-addr", site.address, "LOCAL_DIR", env=env)
    assert asked.returncode != 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["condor_reconfig", "-addr", "ADDRESS"],
        ["condor_off", "-graceful", "-addr", "ADDRESS"],
        ["condor_off", "-fast", "-addr", "ADDRESS"],
        ["condor_off", "-peaceful", "-addr", "ADDRESS"],
        ["condor_off", "-daemon", "annexd"],
        ["condor_restart", "-daemon", "annexd"],
        ["condor_fetchlog", "ADDRESS", "ANNEXD"],
        ["condor_fetchlog", "ADDRESS", "MASTER"],
        ["condor_config_val", "-addr", "ADDRESS", "-rset", "NEW_A = 1"],
        ["condor_config_val", "-addr", "ADDRESS", "-set", "NEW_A = 1"],
        ["condor_config_val", "-addr", "ADDRESS", "-unset", "NEW_A"],
        ["condor_ping", "-addr", "ADDRESS", "ADMINISTRATOR"],
        ["condor_ping", "-addr", "ADDRESS", "DAEMON"],
        ["condor_ping", "-addr", "ADDRESS", "WRITE"],
        ["condor_ping", "-addr", "ADDRESS", "DC_RAISESIGNAL"],
        ["condor_ping", "-addr", "ADDRESS", "DC_PURGE_LOG"],
    ],
    ids=" ".join,
)
def test_the_permission_to_order_permits_nothing_else(site: Site, arguments: list[str]) -> None:
    pid, starts, before = site.pid(), site.starts(), len(site.log())
    words = [site.address if word == "ADDRESS" else word for word in arguments]
    done = site.pool.tool(*words, env=by_token(site, "alice"))
    said = site.log()[before:]
    assert done.returncode != 0 or "PERMISSION DENIED" in said or "DENIED" in site.pool.log("MASTER"), done.stdout
    assert "STARTING UP" not in done.stdout
    assert "Reconfigured" not in said
    assert "shutdown" not in said
    assert (site.pid(), site.starts()) == (pid, starts)
    assert may_order(site, by_token(site, "alice")), "it is still there"


@pytest.mark.parametrize("authentication", ["OPTIONAL", "REQUIRED"])
def test_a_refusal_names_the_user_in_the_clients_words_and_in_one_line_of_the_log(
    site: Site, authentication: str
) -> None:
    env = by_token(site, f"eve-{authentication.lower()}")
    before, user = len(site.log()), f"eve-{authentication.lower()}@{DOMAIN}"
    done = order_an_hour(site, env={**env, "_CONDOR_SEC_CLIENT_AUTHENTICATION": authentication})
    assert done.returncode == errors.NOT_AUTHORIZED
    assert f"does not allow {user} to order" in done.stderr
    assert "ALLOW_ANNEX" in done.stderr
    refusals = re.findall(r"^.*PERMISSION DENIED to .*$", site.log()[before:], re.MULTILINE)
    assert len(refusals) == 1, refusals
    assert f"PERMISSION DENIED to {user}" in refusals[0]
    assert "access level ANNEX: reason: ALLOW_ANNEX does not list" in refusals[0]


def test_condor_ping_asks_for_the_right_to_order(site: Site) -> None:
    said = {
        user: site.pool.tool("condor_ping", "-addr", site.address, "CA_AUTH_CMD", env=by_token(site, user)).stdout
        for user in ("alice", "mallory")
    }
    assert "succeeded" in said["alice"]
    assert "FAILED" in said["mallory"].upper()

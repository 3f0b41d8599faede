"""annexd's tokens as HTCondor's own daemons and tools see them, also with a signing key only for annexes."""

import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from annexd.cedar.issuing import issue
from annexd.cedar.signing_key import signing_secret
from test.pool import DOMAIN, Pool
from test.system.annexes import POOL

KEY = os.urandom(64)
ANNEX_ID = "annex-0123456789abcdef0123"


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(POOL, daemons=("MASTER", "COLLECTOR", "SHARED_PORT")) as pool:
        key_file = pool.directory / "passwords.d" / "ANNEX"
        key_file.touch(mode=0o600)
        key_file.write_bytes(KEY)
        yield pool


def token(pool: Pool, folder: Path, key_id: str = "ANNEX", key: bytes = KEY, **claims: object) -> dict[str, str]:
    """Return the environment of a client that has a token with these claims, and no other credentials."""
    now_s = int(time.time())
    given = {
        "iss": DOMAIN,
        "sub": f"{ANNEX_ID}@{DOMAIN}",
        "jti": os.urandom(16).hex(),
        "iat": now_s,
        "exp": now_s + 60,
        "scope": "condor:/ADVERTISE_MASTER condor:/ADVERTISE_STARTD",
        **claims,
    }
    folder.mkdir(mode=0o700)
    file = folder / "annex.token"
    file.touch(mode=0o600)
    file.write_text(issue(given, key_id, signing_secret(key_id, key)) + "\n")
    return {
        **pool.env,
        "_CONDOR_SEC_TOKEN_DIRECTORY": str(folder),
        "_CONDOR_SEC_TOKEN_SYSTEM_DIRECTORY": str(folder),
        "_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS": "IDTOKENS",
        "_CONDOR_SEC_CLIENT_AUTHENTICATION": "REQUIRED",
    }


def is_let_in(pool: Pool, env: dict[str, str]) -> bool:
    said = pool.tool("condor_ping", "-addr", f"<{pool.collector}>", "-table", "ADVERTISE_STARTD", env=env).stdout
    return "ALLOW" in said


def test_it_is_let_in_with_a_key_that_is_there_for_annexes_alone(pool: Pool, tmp_path: Path) -> None:
    assert is_let_in(pool, token(pool, tmp_path / "tokens"))


def test_and_with_the_pools_own_negotiator(pool: Pool, tmp_path: Path) -> None:
    pools = (pool.directory / "passwords.d" / "POOL").read_bytes()
    assert is_let_in(pool, token(pool, tmp_path / "tokens", "POOL", pools))


def test_not_with_another_key_of_that_name(pool: Pool, tmp_path: Path) -> None:
    assert not is_let_in(pool, token(pool, tmp_path / "tokens", key=os.urandom(64)))


def test_not_after_its_end(pool: Pool, tmp_path: Path) -> None:
    assert not is_let_in(pool, token(pool, tmp_path / "tokens", exp=int(time.time()) - 1))


def test_a_token_is_refused_for_a_host_that_is_no_annex(pool: Pool, tmp_path: Path) -> None:
    assert not is_let_in(pool, token(pool, tmp_path / "tokens", sub=f"somebody@{DOMAIN}"))


OTHER_ID = "annex-fedcba9876543210fedc"


@pytest.mark.parametrize(
    ("subject", "advertised", "is_taken"),
    [
        (ANNEX_ID, ANNEX_ID, True),
        (ANNEX_ID, ANNEX_ID.upper(), True),
        (ANNEX_ID.upper(), ANNEX_ID, True),
        (ANNEX_ID, OTHER_ID, False),
        (ANNEX_ID.upper(), OTHER_ID, False),
        ("Annex-x", OTHER_ID, False),
        (ANNEX_ID.upper(), None, False),
    ],
)
def test_an_annex_advertises_only_as_itself_in_any_case_of_its_name(
    pool: Pool, tmp_path: Path, subject: str, advertised: str | None, is_taken: bool
) -> None:
    env = token(pool, tmp_path / "tokens", sub=f"{subject}@{DOMAIN}")
    assert is_let_in(pool, env), "ALLOW_* ignores case"
    name = f"{secrets.token_hex(4)}.annexd.test"
    ad = f'MyType = "Machine"\nName = "{name}"\nMachine = "{name}"\nMyAddress = "<127.0.0.1:1>"\nState = "Owner"\n'
    ad += f'AnnexID = "{advertised}"\n' if advertised else ""
    assert pool.tool("condor_advertise", "-tcp", "UPDATE_STARTD_AD", "-", env=env, stdin=ad).returncode == 0
    marker = f"{secrets.token_hex(4)}.annexd.test"  # when the collector shows the second ad, it has processed the first
    said = pool.tool("condor_advertise", "-tcp", "UPDATE_STARTD_AD", "-", stdin=ad.replace(name, marker))
    assert said.returncode == 0, said.stderr
    pool.wait_for(lambda: marker in _machines(pool) or None, "the collector to take an ad")
    assert (name in _machines(pool)) == is_taken


def _machines(pool: Pool) -> str:
    return pool.tool("condor_status", "-af", "Name").stdout

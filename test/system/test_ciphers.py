"""Legacy ciphers that the administrator enables: annexd responds to HTCondor's own clients as the schedd does.

HTCondor's own BLOWFISH needs OpenSSL's legacy provider, which Debian has in openssl-provider-legacy or libssl3.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest

from test.pool import ANNEXD_CONFIG, Pool
from test.programs import AS_ANNEXD
from test.system.site import SEND
from test.system.tool import reconfigure

CIPHERS = ("BLOWFISH", "3DES")
LEVELS = ("READ", "ADMINISTRATOR", "DAEMON")
DAEMONS = ("MASTER", "COLLECTOR", "SHARED_PORT", "SCHEDD", "ANNEXD")
BLOWFISH_ALONE = """
SEC_DEFAULT_CRYPTO_METHODS = BLOWFISH
SEC_DEFAULT_ENCRYPTION = OPTIONAL
SEC_DEFAULT_INTEGRITY = OPTIONAL
"""
ALL = "SEC_DEFAULT_CRYPTO_METHODS = BLOWFISH, 3DES, AES"
WISHES = {True: "REQUIRED", False: "NEVER"}
WARNINGS = (
    AS_ANNEXD
    + """
from annexd.cedar.session import SessionCache
from annexd.daemoncore.security.policy import read_security
security, warnings = read_security({}, SessionCache("a"), "$CondorVersion: 25.0.0 $", ())
print(*{policy.crypto_methods for policy in security.context.policy.values()}, *warnings, sep="\\n")
"""
)
Environment = Mapping[str, str]


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(ANNEXD_CONFIG + BLOWFISH_ALONE, daemons=DAEMONS) as pool:
        yield pool


def client(cipher: str, *, encryption: bool = True, integrity: bool = True) -> Environment:
    return {
        "_CONDOR_SEC_CLIENT_CRYPTO_METHODS": cipher,
        "_CONDOR_SEC_CLIENT_ENCRYPTION": WISHES[encryption],
        "_CONDOR_SEC_CLIENT_INTEGRITY": WISHES[integrity],
    }


def table(pool: Pool, daemon: str, env: Environment) -> str:
    return pool.tool("condor_ping", "-addr", pool.address(daemon), "-table", *LEVELS, env=env).stdout


def test_a_pool_of_blowfish_alone_has_annexd_in_it(pool: Pool) -> None:
    """annexd's ad reaches the collector and its ready message reaches the master through BLOWFISH sessions."""
    said = table(pool, "ANNEXD", client("BLOWFISH"))
    assert "BLOWFISH" in said, f"{said}\n{pool.log('ANNEXD')[-2000:]}"
    ready = pool.tool("condor_who", "-daemons", "-wait:30", "IsReady")
    assert "Annexd" in ready.stdout, ready.stdout + ready.stderr
    reconfigure(pool, ALL)


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("encryption", [True, False])
@pytest.mark.parametrize("integrity", [True, False])
def test_a_client_with_a_legacy_cipher_gets_the_schedds_answers(
    pool: Pool, cipher: str, encryption: bool, integrity: bool
) -> None:
    env = client(cipher, encryption=encryption, integrity=integrity)
    said = table(pool, "ANNEXD", env)
    assert said == table(pool, "SCHEDD", env), f"annexd's log ends:\n{pool.log('ANNEXD')[-3000:]}"
    assert (cipher in said, "MD5" in said) == (encryption, integrity)


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize(("encryption", "integrity"), [(True, True), (True, False), (False, True), (False, False)])
def test_tools_read_configuration_and_log_through_a_legacy_cipher(
    pool: Pool, cipher: str, encryption: bool, integrity: bool
) -> None:
    """The bytes of a log are sent outside of messages, in the cipher's stream."""
    env = client(cipher, encryption=encryption, integrity=integrity)
    asked = [
        pool.tool("condor_config_val", "-addr", pool.address(daemon), "-verbose", "UID_DOMAIN", env=env).stdout
        for daemon in ("ANNEXD", "SCHEDD")
    ]
    assert asked[0].splitlines()[0] == asked[1].splitlines()[0] == "UID_DOMAIN = annexd.test"
    fetched = pool.tool("condor_fetchlog", pool.address("ANNEXD"), "ANNEXD", env=env).stdout
    assert len(fetched) > 1000
    assert pool.log("ANNEXD").startswith(fetched)


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("encryption", [True, False])
def test_orders_with_private_attributes_and_large_ones_arrive_in_a_session_used_again(
    pool: Pool, cipher: str, encryption: bool
) -> None:
    ad = {"Command": "CA_BULK_REQUEST", "RequestVersion": 1, "EndOfLease": 1, "ClaimId": "a#b"}
    ads = [ad | {"UserData": size * "x"} for size in (10, 5000, 500_000)]
    done = pool.run(
        sys.executable,
        "-c",
        SEND,
        stdin=json.dumps([pool.address("ANNEXD"), ads]),
        env=client(cipher, encryption=encryption),
    )
    replies = [json.loads(line)[0] for line in done.stdout.splitlines()]
    assert [reply and reply["Result"] for reply in replies] == 3 * ["InvalidRequest"], (
        f"{done.stderr}\n{pool.log('ANNEXD')[-3000:]}"
    )
    assert all("EndOfLease is" in reply["ErrorString"] for reply in replies), replies


def test_aes_is_taken_wherever_it_stands_in_the_lists(pool: Pool) -> None:
    env = client("3DES,BLOWFISH,AES")
    assert table(pool, "ANNEXD", env).count(" AES ") == 2 * len(LEVELS)


def test_sessions_without_integrity_are_warned_of(pool: Pool) -> None:
    warning = "SEC_DEFAULT_CRYPTO_METHODS names a legacy cipher, but SEC_DEFAULT_INTEGRITY is not REQUIRED"
    assert warning in pool.log("ANNEXD")


@pytest.mark.parametrize("cipher", CIPHERS)
def test_a_legacy_cipher_that_is_not_configured_is_not_offered(pool: Pool, cipher: str) -> None:
    reconfigure(pool, "ANNEXD.SEC_DEFAULT_CRYPTO_METHODS = AES")
    assert "ALLOW" not in table(pool, "ANNEXD", client(cipher))
    assert table(pool, "ANNEXD", client(f"{cipher},AES")).count(" AES ") == 2 * len(LEVELS)


def test_a_cipher_that_openssl_lacks_is_not_offered_and_the_log_says_why() -> None:
    environment = {
        **os.environ,
        "CONDOR_CONFIG": "ONLY_ENV",
        "_CONDOR_SEC_DEFAULT_CRYPTO_METHODS": "AES,BLOWFISH,3DES",
        "_CONDOR_SEC_DEFAULT_INTEGRITY": "REQUIRED",
        "CRYPTOGRAPHY_OPENSSL_NO_LEGACY": "1",
    }
    said = subprocess.run([sys.executable, "-c", WARNINGS], env=environment, check=True, capture_output=True, text=True)
    offered, *warnings = said.stdout.splitlines()
    assert offered == "('AES', '3DES')"
    assert any(
        line.startswith("BLOWFISH of SEC_DEFAULT_CRYPTO_METHODS is not offered: OpenSSL ") for line in warnings
    ), warnings

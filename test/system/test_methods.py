"""Every authentication method: annexd responds as the pool's schedd does, to valid and invalid credentials."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from test.cedar.certificates import Authority, person
from test.pool import ANNEXD_CONFIG, DOMAIN, Pool
from test.system.tool import reconfigure

LEVELS = ("READ", "WRITE", "ADMINISTRATOR", "DAEMON")
DAEMONS = ("MASTER", "COLLECTOR", "SHARED_PORT", "SCHEDD", "ANNEXD")
HOST = f"127-0-0-1.{DOMAIN}"  # NO_DNS derives it from NETWORK_INTERFACE; it is the alias in every address
CONFIG = """
ANNEXD_DEBUG = D_SECURITY
SEC_DEFAULT_AUTHENTICATION_METHODS = FS, IDTOKENS, SSL, PASSWORD, CLAIMTOBE, ANONYMOUS
# False by default in HTCondor 23; annexd has the defaults of 25.
SEC_CLAIMTOBE_INCLUDE_DOMAIN = True
SEC_PASSWORD_FILE = $(LOCAL_DIR)/password
AUTH_SSL_SERVER_CERTFILE = $(LOCAL_DIR)/none.pem, $(LOCAL_DIR)/host.pem
AUTH_SSL_SERVER_KEYFILE = $(LOCAL_DIR)/none.key, $(LOCAL_DIR)/host.key
AUTH_SSL_SERVER_CAFILE = $(LOCAL_DIR)/ca.pem
AUTH_SSL_CLIENT_CAFILE = $(LOCAL_DIR)/ca.pem
AUTH_SSL_CLIENT_CERTFILE =
AUTH_SSL_CLIENT_KEYFILE =
ALLOW_WRITE = $(ALLOW_WRITE), alice@*
CERTIFICATE_MAPFILE = $(LOCAL_DIR)/map
"""
MAP = r"""
# what is tried here, and one line that neither daemon can use
SSL  "^/O=Example Site/CN=alice$"        alice@mapped.org
SSL  (
SSL  ^/O=Example[[:space:]]Site/CN=car   \0@mapped.org
CLAIMTOBE  ^(eve)@(.*)$                  "\1-of-\2"
FS   ^nobody-is-called-this$             alice@mapped.org
@include more-maps
"""
MORE_MAPS = r"""
ANONYMOUS  .*                            guest@mapped.org
"""
Environment = Mapping[str, str]


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    pool = Pool(ANNEXD_CONFIG + CONFIG, daemons=DAEMONS)
    lay_out(pool.directory)
    with pool:
        yield pool


def lay_out(directory: Path) -> None:
    """Write the map file, and the clients' certificates and passwords, valid and invalid."""
    (directory / "map").write_text(MAP)
    (directory / "more-maps").mkdir()
    (directory / "more-maps" / "anonymous").write_text(MORE_MAPS)
    (directory / "more-maps" / "old~").write_text("ANONYMOUS .* root@mapped.org")
    authority = Authority(directory)
    authority.make("host", person("host"), host=HOST)
    for name in ("alice", "bob", "carol"):
        authority.make(name, person(name))
    authority.make("expired", person("alice"), days=-1)
    Authority(directory, "stranger").make("foreign", person("alice"))
    for name, content in (("password", b"opensesame"), ("other-password", b"sesame")):
        (directory / name).touch(mode=0o600)
        (directory / name).write_bytes(content)


def client(methods: str, **settings: str) -> Environment:
    """Return the environment of a client that uses only these methods."""
    return {
        "_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS": methods,
        **{f"_CONDOR_{name}": value for name, value in settings.items()},
    }


def with_certificate(pool: Pool, name: str, methods: str = "SSL") -> Environment:
    files = {
        f"AUTH_SSL_CLIENT_{kind}FILE": str(pool.directory / f"{name}.{end}")
        for kind, end in (("CERT", "pem"), ("KEY", "key"))
    }
    return client(methods, **files)


def table(pool: Pool, daemon: str, env: Environment) -> str:
    said = pool.tool("condor_ping", "-addr", pool.address(daemon), "-table", *LEVELS, env=env)
    return re.sub(r"\s+\(use -verbose for more info\)", "", said.stdout)


def same_answers(pool: Pool, env: Environment) -> str:
    """Return annexd's responses, and check that the schedd's are the same."""
    annexd = table(pool, "ANNEXD", env)
    assert annexd == table(pool, "SCHEDD", env), f"annexd's log ends:\n{pool.log('ANNEXD')[-3000:]}"
    return annexd


@pytest.mark.parametrize(
    ("settings", "user"),
    [
        ({"SEC_CLAIMTOBE_USER": "alice"}, f"alice@{DOMAIN}"),
        ({"SEC_CLAIMTOBE_USER": "alice", "UID_DOMAIN": "site.org"}, "alice@site.org"),
        ({"SEC_CLAIMTOBE_USER": "alice", "SEC_CLAIMTOBE_INCLUDE_DOMAIN": "False"}, f"alice@{DOMAIN}"),
        ({"SEC_CLAIMTOBE_USER": "eve"}, f"eve-of-{DOMAIN}@{DOMAIN}"),
    ],
    ids=["with the domain", "with another domain", "without a domain", "mapped"],
)
def test_a_client_that_claims_a_name_is_believed(pool: Pool, settings: dict[str, str], user: str) -> None:
    said = same_answers(pool, client("CLAIMTOBE", **settings))
    assert "CLAIMTOBE" in said
    assert user in said


def test_an_anonymous_client_may_do_what_the_lists_leave_it(pool: Pool) -> None:
    said = same_answers(pool, client("ANONYMOUS"))
    assert "guest@mapped.org" in said, "the map file says who that is"


def test_a_client_with_the_pool_password_is_condor_password(pool: Pool) -> None:
    said = same_answers(pool, client("PASSWORD"))
    assert "condor@password" in said


@pytest.mark.parametrize("file", ["other-password", "no-password"])
@pytest.mark.parametrize("methods", ["PASSWORD", "PASSWORD,FS"])
def test_another_password_or_none_opens_nothing_and_fs_is_tried_next(pool: Pool, file: str, methods: str) -> None:
    said = same_answers(pool, client(methods, SEC_PASSWORD_FILE=str(pool.directory / file)))
    assert ("FS" in said) is (methods == "PASSWORD,FS")


@pytest.mark.parametrize(
    ("name", "user"),
    [
        ("alice", "alice@mapped.org"),
        ("bob", "ssl@unmapped"),
        ("carol", "/O=Example Site/CN=car@mapped.org"),
        ("expired", "FAIL"),
        ("foreign", "FAIL"),
    ],
)
def test_a_client_certificate_gets_the_schedds_answers(pool: Pool, name: str, user: str) -> None:
    assert user in same_answers(pool, with_certificate(pool, name))


def test_a_client_without_a_certificate_gets_the_schedds_answers(pool: Pool) -> None:
    assert "SSL" in same_answers(pool, client("SSL"))


def test_after_a_bad_certificate_fs_is_tried(pool: Pool) -> None:
    assert "FS" in same_answers(pool, with_certificate(pool, "expired", "SSL,FS"))


def test_a_client_that_does_not_trust_the_server_gets_the_schedds_answers(pool: Pool) -> None:
    stranger = str(pool.directory / "stranger.pem")
    same_answers(pool, client("SSL", AUTH_SSL_CLIENT_CAFILE=stranger))


def test_a_line_of_the_map_file_that_cannot_be_used_is_named_in_the_log(pool: Pool) -> None:
    assert re.search(r"WARNING: \S+/map, line 4: .*this line of the map file is ignored", pool.log("ANNEXD"))


@pytest.mark.parametrize(("literal", "alice", "bob"), [("True", "slashed", "bob"), ("False", "alice", "alice")])
def test_the_configuration_says_which_files_are_keys(pool: Pool, literal: str, alice: str, bob: str) -> None:
    lines = "SSL /^.*CN=ALICE$/i slashed@mapped.org\nSSL /O=Example alice@mapped.org\n"
    (pool.directory / "keys").write_text(f'{lines}SSL "/O=Example Site/CN=bob" bob@mapped.org\n')
    reconfigure(pool, f"CERTIFICATE_MAPFILE = $(LOCAL_DIR)/keys\nCERTIFICATE_MAPFILE_ASSUME_HASH_KEYS = {literal}")
    assert f"{alice}@mapped.org" in same_answers(pool, with_certificate(pool, "alice"))
    assert f"{bob}@mapped.org" in same_answers(pool, with_certificate(pool, "bob"))


def with_token(pool: Pool, user: str) -> Environment:
    folder = pool.directory / f"tokens-{user}"
    if not folder.exists():
        folder.mkdir(mode=0o700)
        (folder / "token").touch(mode=0o600)
        (folder / "token").write_text(pool.token(user) + "\n")
    return client("IDTOKENS", SEC_TOKEN_DIRECTORY=str(folder))


@pytest.mark.parametrize(
    ("expression", "alice", "carol"),
    [
        (f'sub == "carol@{DOMAIN}"', True, False),
        ("iat > time() + 100", True, True),
        ("nobody == 1", False, False),
        ('"not a boolean"', False, False),
    ],
)
def test_a_revoked_token_opens_nothing(pool: Pool, expression: str, alice: bool, carol: bool) -> None:
    reconfigure(pool, f"SEC_TOKEN_REVOCATION_EXPR = {expression}")
    for user, accepted in (("alice", alice), ("carol", carol)):
        assert (f"{user}@{DOMAIN}" in same_answers(pool, with_token(pool, user))) is accepted


def test_a_revocation_that_cannot_be_read_is_refused_and_the_old_one_stays(pool: Pool) -> None:
    reconfigure(pool, f'SEC_TOKEN_REVOCATION_EXPR =\nSEC_TOKEN_BLACKLIST_EXPR = sub == "carol@{DOMAIN}"')
    assert "FAIL" in same_answers(pool, with_token(pool, "carol"))
    pool.configure("SEC_TOKEN_BLACKLIST_EXPR = sub ==")
    refused = "Reconfig failed, keeping the old configuration: SEC_TOKEN_BLACKLIST_EXPR must be a ClassAd expression"
    pool.wait_for(lambda: refused in pool.log("ANNEXD"), "annexd to refuse its new configuration")
    assert "FAIL" in table(pool, "ANNEXD", with_token(pool, "carol"))
    reconfigure(pool, "SEC_TOKEN_BLACKLIST_EXPR =")
    assert f"carol@{DOMAIN}" in same_answers(pool, with_token(pool, "carol"))


@pytest.mark.parametrize(
    ("required", "alice", "bob", "nobody"),
    [("CERTIFICATE", True, True, False), ("MAPPING", True, False, True)],
)
def test_a_certificate_or_its_mapping_may_be_required(
    pool: Pool, required: str, alice: bool, bob: bool, nobody: bool
) -> None:
    reconfigure(
        pool,
        "CERTIFICATE_MAPFILE = $(LOCAL_DIR)/map\nCERTIFICATE_MAPFILE_ASSUME_HASH_KEYS = False\n"
        f"AUTH_SSL_REQUIRE_CLIENT_CERTIFICATE = {required == 'CERTIFICATE'}\n"
        f"AUTH_SSL_REQUIRE_CLIENT_MAPPING = {required == 'MAPPING'}",
    )
    clients = {"alice": with_certificate(pool, "alice"), "bob": with_certificate(pool, "bob"), "": client("SSL")}
    said = {name: "SSL" in same_answers(pool, env) for name, env in clients.items()}
    assert said == {"alice": alice, "bob": bob, "": nobody}


def test_methods_that_cannot_work_are_not_offered(pool: Pool) -> None:
    (pool.directory / "broken.pem").write_text("no certificate")
    reconfigure(pool, "AUTH_SSL_SERVER_CERTFILE = $(LOCAL_DIR)/none.pem\nSEC_PASSWORD_FILE = $(LOCAL_DIR)/none")
    for env in (client("SSL"), client("PASSWORD"), client("SSL,PASSWORD,FS")):
        same_answers(pool, env)
    reconfigure(
        pool, "AUTH_SSL_SERVER_CERTFILE = $(LOCAL_DIR)/broken.pem\nAUTH_SSL_SERVER_KEYFILE = $(LOCAL_DIR)/host.key"
    )
    assert re.search(
        r"WARNING: SSL is not offered with the certificate \S+/broken.pem and the key \S+/host.key: "
        r".*; see AUTH_SSL_SERVER_CERTFILE",
        pool.log("ANNEXD"),
    )
    assert "FS" in table(pool, "ANNEXD", client("SSL,FS"))


def test_keys_that_others_may_read_are_not_used(pool: Pool) -> None:
    token, key = with_token(pool, "alice"), pool.directory / "passwords.d" / "POOL"
    key.chmod(0o640)
    reconfigure(pool, "")
    assert f"alice@{DOMAIN}" not in same_answers(pool, token)
    assert f"WARNING: {key} is not used: a key must be owned by the user who starts this daemon" in pool.log("ANNEXD")
    key.chmod(0o600)
    reconfigure(pool, "")
    assert f"alice@{DOMAIN}" in same_answers(pool, token)


def test_the_log_says_how_a_user_was_proved(pool: Pool) -> None:
    table(pool, "ANNEXD", with_token(pool, "alice"))
    table(pool, "ANNEXD", client("FS"))
    log = pool.log("ANNEXD")
    assert re.search(
        rf"PERMISSION GRANTED to alice@{DOMAIN} from .* \(DC_NOP_READ\), .*; by IDTOKENS, token \w+ of {DOMAIN} "
        rf"for alice@{DOMAIN}\n",
        log,
    )
    assert re.search(r"PERMISSION GRANTED to .* \(DC_NOP_READ\), .*; by FS\n", log)

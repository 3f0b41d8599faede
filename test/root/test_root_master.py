"""A condor_master of root starts annexd like HTCondor's other daemons, and several users place orders.  Needs root.

HTCondor's user is the account `daemon`, by CONDOR_IDS, as on a machine without an account `condor`.
"""

import os
import pwd
import re
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from test.cedar.certificates import Authority, person
from test.cloud import Cloud
from test.cloud.cloud import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from test.pool import DOMAIN
from test.root.run_as import run_as
from test.system.site import REQUEST, Site

ROOT, CONDOR, ALICE, BOB = (pwd.getpwnam(name) for name in ("root", "daemon", "nobody", "games"))
CONDOR_ANNEX = str(Path(sysconfig.get_path("scripts"), "condor_annex"))
USERS = f"{ALICE.pw_name}@{DOMAIN}, {BOB.pw_name}@{DOMAIN}"
CONFIG = f"""
ALLOW_ADMINISTRATOR = root@{DOMAIN}, {CONDOR.pw_name}@{DOMAIN}
ALLOW_DAEMON = $(ALLOW_ADMINISTRATOR), condor@{DOMAIN}, condor@password
ALLOW_ADMINISTRATOR_ANNEXD = $(ALLOW_ADMINISTRATOR), {USERS}
ANNEXD_DEBUG = D_SECURITY
SEC_DEFAULT_AUTHENTICATION_METHODS = FS, IDTOKENS, SSL, PASSWORD
SEC_PASSWORD_FILE = $(LOCAL_DIR)/passwords.d/password
AUTH_SSL_SERVER_CERTFILE = $(LOCAL_DIR)/host.pem
AUTH_SSL_SERVER_KEYFILE = $(LOCAL_DIR)/passwords.d/host.key
AUTH_SSL_CLIENT_CAFILE = $(LOCAL_DIR)/ca.pem
"""


@pytest.fixture(scope="module")
def site(cloud: Cloud) -> Iterator[Site]:
    site = Site(cloud, CONFIG, condor_ids=(CONDOR.pw_uid, CONDOR.pw_gid))
    lay_out_secrets(site.pool.directory)
    with site:
        for user in (ALICE, BOB):
            home(site, user).mkdir(mode=0o700)
            os.chown(home(site, user), user.pw_uid, user.pw_gid)
            for name, key in (("access", ACCESS_KEY_ID), ("secret", SECRET_ACCESS_KEY)):
                private_file(home(site, user) / name, user, key)
        yield site


def lay_out_secrets(directory: Path) -> None:
    """Write the host's SSL key and the pool password, which only root may read."""
    Authority(directory).make("host", person("host"), host=f"127-0-0-1.{DOMAIN}")
    (directory / "host.key").rename(directory / "passwords.d" / "host.key")
    private_file(directory / "passwords.d" / "host.key", ROOT, (directory / "passwords.d" / "host.key").read_text())
    private_file(directory / "passwords.d" / "password", ROOT, "opensesame")
    for name in ("host.pem", "ca.pem"):
        (directory / name).chmod(0o644)


def home(site: Site, user: pwd.struct_passwd) -> Path:
    return site.pool.directory / f"home-{user.pw_name}"


def private_file(path: Path, owner: pwd.struct_passwd, content: str, mode: int = 0o600) -> None:
    path.touch(mode=0o600)
    path.write_text(content)
    os.chown(path, owner.pw_uid, owner.pw_gid)
    path.chmod(mode)


def as_user(site: Site, user: pwd.struct_passwd, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {**site.pool.env, "HOME": str(home(site, user)), "USER": user.pw_name, **env}
    return run_as(user, command, environment)


def order(site: Site, user: pwd.struct_passwd, keys: Path | None = None) -> subprocess.CompletedProcess[str]:
    keys = keys or home(site, user)
    return as_user(
        site,
        user,
        CONDOR_ANNEX,
        "-lease-duration",
        "1h",
        "-public-key-file",
        str(keys / "access"),
        "-secret-key-file",
        str(keys / "secret"),
        str(REQUEST),
    )


def ids_of(pid: int) -> tuple[list[int], list[int]]:
    """Return the real, effective, saved and file-system user IDs, and the same four group IDs."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = [re.search(rf"^{kind}:\s+(.*)$", status, re.MULTILINE) for kind in ("Uid", "Gid")]
    uids, gids = (list(map(int, match.group(1).split())) if match else [] for match in found)
    return uids, gids


def test_like_the_schedd_annexd_has_roots_real_and_htcondors_effective_user(site: Site) -> None:
    schedd = int(re.findall(r"\*\* PID = (\d+)", site.pool.log("SCHEDD"))[-1])
    (uids, gids), (schedds_uids, _) = ids_of(site.pid()), ids_of(schedd)
    assert uids[0] == schedds_uids[0] == 0
    assert (uids[1], uids[3]) == (schedds_uids[1], schedds_uids[3]) == (CONDOR.pw_uid, CONDOR.pw_uid)
    assert gids[1] == CONDOR.pw_gid


def test_files_of_annexd_belong_to_htcondors_user(site: Site) -> None:
    for knob in ("ANNEXD_LOG", "ANNEXD_COMMAND_STATE", "ANNEXD_ADDRESS_FILE"):
        path = Path(site.pool.param(knob) or "")
        assert (path.stat().st_uid, path.stat().st_gid) == (CONDOR.pw_uid, CONDOR.pw_gid), path
    for path in (site.pool.directory / "spool").iterdir():
        if path.name.startswith("annexd"):
            assert path.stat().st_uid == CONDOR.pw_uid, path


@pytest.mark.parametrize("user", [ALICE, BOB], ids=lambda user: user.pw_name)
def test_each_user_orders_with_keys_that_nobody_else_can_read(site: Site, user: pwd.struct_passwd) -> None:
    done = order(site, user)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("sfr-")
    assert f"from {user.pw_name}@{DOMAIN} at" in site.log()


def test_another_users_keys_are_refused_and_nothing_is_ordered(site: Site) -> None:
    before = len(site.fleets())
    done = order(site, BOB, keys=home(site, ALICE))
    assert done.returncode == 6, done.stderr
    assert "-public-key-file cannot be used: " in done.stderr
    assert "Permission denied" in done.stderr
    assert len(site.fleets()) == before


def test_roots_and_htcondors_own_files_are_refused_too(site: Site) -> None:
    folder = site.pool.directory / "open-to-all"
    folder.mkdir(mode=0o755, exist_ok=True)
    for owner in (ROOT, CONDOR):
        private_file(folder / "access", owner, ACCESS_KEY_ID)
        private_file(folder / "secret", owner, SECRET_ACCESS_KEY)
        done = order(site, ALICE, keys=folder)
        assert (done.returncode, "Permission denied" in done.stderr) == (6, True), done.stderr
        private_file(folder / "access", owner, ACCESS_KEY_ID, mode=0o644)
        done = order(site, ALICE, keys=folder)
        assert (done.returncode, "is not owned by the requester" in done.stderr) == (6, True), done.stderr


def profile(site: Site, user: pwd.struct_passwd, content: str) -> Path:
    """Write a profile `lab` to the user's home; return the file."""
    file = home(site, user) / "aws"
    private_file(file, user, f"[profile lab]\n{content}")
    return file


def order_with_profile(site: Site, user: pwd.struct_passwd, file: Path) -> subprocess.CompletedProcess[str]:
    files = {"AWS_CONFIG_FILE": str(file), "AWS_SHARED_CREDENTIALS_FILE": str(file.with_name("none"))}
    return as_user(site, user, CONDOR_ANNEX, "-lease-duration", "1h", "-profile", "lab", str(REQUEST), **files)


def test_a_user_orders_with_a_profile_that_nobody_else_can_read(site: Site) -> None:
    keys = f"aws_access_key_id = {ACCESS_KEY_ID}\naws_secret_access_key = {SECRET_ACCESS_KEY}\n"
    file = profile(site, ALICE, keys)
    done = order_with_profile(site, ALICE, file)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("sfr-")
    before = len(site.fleets())
    refused = order_with_profile(site, BOB, file)
    assert refused.returncode == 6, refused.stderr
    assert f"-profile lab cannot be used: {file} cannot be opened: Permission denied" in refused.stderr
    assert len(site.fleets()) == before


def test_a_program_of_a_users_profile_runs_as_that_user_and_gets_nothing_of_annexds(site: Site) -> None:
    report, program = home(site, ALICE) / "report", home(site, ALICE) / "keys"
    answer = f'{{"Version": 1, "AccessKeyId": "{ACCESS_KEY_ID}", "SecretAccessKey": "{SECRET_ACCESS_KEY}"}}'
    script = f"#!/bin/sh\n(grep Uid: /proc/self/status; env) > {report}\necho '{answer}'\n"
    private_file(program, ALICE, script, mode=0o700)
    done = order_with_profile(site, ALICE, profile(site, ALICE, f"credential_process = {program}\n"))
    assert done.returncode == 0, done.stderr
    assert report.read_text().splitlines()[0].split()[1:] == [str(ALICE.pw_uid)] * 4
    assert "CONDOR" not in report.read_text()
    journal = b"".join(path.read_bytes() for path in (site.pool.directory / "spool").glob("annexd*") if path.is_file())
    assert b'"lab"' in journal
    assert SECRET_ACCESS_KEY.encode() not in journal + site.log().encode()


def test_a_token_for_root_opens_no_file_of_roots(site: Site) -> None:
    folder = with_tokens(site, ALICE, site.pool.token("root"))
    private_file(site.pool.directory / "roots-key", ROOT, ACCESS_KEY_ID)
    done = as_user(
        site,
        ALICE,
        CONDOR_ANNEX,
        "-lease-duration",
        "1h",
        "-access-key-file",
        str(site.pool.directory / "roots-key"),
        "-secret-key-file",
        str(site.pool.directory / "roots-key"),
        str(REQUEST),
        _CONDOR_SEC_TOKEN_DIRECTORY=str(folder),
        _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS="IDTOKENS",
    )
    assert done.returncode == 6, done.stderr
    assert "no request gets root's rights" in done.stderr


def test_a_user_on_no_allow_list_is_denied(site: Site) -> None:
    stranger = pwd.getpwnam("man")
    done = as_user(site, stranger, CONDOR_ANNEX, "-lease-duration", "1h", str(REQUEST))
    assert done.returncode == 5, done.stderr
    assert f"PERMISSION DENIED to {stranger.pw_name}@{DOMAIN}" in site.log()


def test_annexd_treats_root_and_htcondors_user_as_the_schedd_does(site: Site) -> None:
    levels = ("READ", "WRITE", "ADMINISTRATOR", "DAEMON")
    answers = {
        daemon: [
            as_user(
                site,
                user,
                str(site.pool.htcondor.executable("condor_ping")),
                "-addr",
                site.pool.address(daemon),
                "-table",
                *levels,
            ).stdout
            for user in (ROOT, CONDOR, ALICE)
        ]
        for daemon in ("ANNEXD", "SCHEDD")
    }
    assert answers["ANNEXD"][:2] == answers["SCHEDD"][:2]
    assert f"{CONDOR.pw_name}@{DOMAIN}" in answers["ANNEXD"][0]
    assert f"{ALICE.pw_name}@{DOMAIN}" in answers["ANNEXD"][2]


@pytest.mark.parametrize("method", ["IDTOKENS", "SSL", "PASSWORD"])
def test_a_secret_that_only_root_may_read_authenticates_a_peer(site: Site, method: str) -> None:
    with_tokens(site, BOB, site.pool.token(BOB.pw_name))
    user = ROOT if method == "PASSWORD" else BOB  # the pool's password is root's
    answers = {
        daemon: as_user(
            site,
            user,
            str(site.pool.htcondor.executable("condor_ping")),
            "-addr",
            site.pool.address(daemon),
            "-table",
            "READ",
            "ADMINISTRATOR",
            _CONDOR_SEC_TOKEN_DIRECTORY=str(home(site, BOB) / "tokens.d"),
            _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=method,
        ).stdout
        for daemon in ("ANNEXD", "SCHEDD")
    }
    assert method in answers["ANNEXD"].split(), f"{answers}\n{site.log()[-2000:]}"
    assert [line.split()[:2] for line in answers["ANNEXD"].splitlines() if line.startswith("READ")] == [
        line.split()[:2] for line in answers["SCHEDD"].splitlines() if line.startswith("READ")
    ]


def with_tokens(site: Site, user: pwd.struct_passwd, *tokens: str) -> Path:
    """Create a token directory of the user with these tokens only; return it."""
    folder = home(site, user) / "tokens.d"
    folder.mkdir(mode=0o700, exist_ok=True)
    os.chown(folder, user.pw_uid, user.pw_gid)
    private_file(folder / "token", user, "\n".join(tokens) + "\n")
    return folder


def test_after_kill_9_the_next_annexd_continues_with_the_same_journal(site: Site) -> None:
    starts = site.starts()
    site.kill()
    site.wait_for_restart(starts)
    assert ids_of(site.pid())[0][1] == CONDOR.pw_uid
    assert order(site, ALICE).returncode == 0


def test_a_reconfig_reads_roots_files_again_and_stays_htcondors_user(site: Site) -> None:
    before = site.log().count("Reconfigured")
    site.pool.configure(f"ALLOW_ADMINISTRATOR_ANNEXD = $(ALLOW_ADMINISTRATOR), {ALICE.pw_name}@{DOMAIN}")
    site.wait(lambda: site.log().count("Reconfigured") > before, "annexd to take the new configuration")
    assert ids_of(site.pid())[0][1] == CONDOR.pw_uid
    assert order(site, ALICE).returncode == 0
    assert order(site, BOB).returncode == 5

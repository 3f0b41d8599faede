"""A profile of the requester's AWS configuration gives the keys that `aws --profile` would use, and no others."""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from hashlib import sha1
from pathlib import Path

import pytest

from annexd.annex.request.key_source import NoKeys
from annexd.aws import Credentials
from annexd.service import profile_worker, requester_profiles
from test.aws.endpoint import endpoint
from test.cloud import Cloud
from test.cloud.cloud import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from test.cloud.identity_center import IdentityCenter, identity_center
from test.service.profiles import Home, shown

HOUR_S = 3600
WORKER = """
import os
def answer(request):
    [pipe] = [fd for fd in range(3, 20) if os.path.exists(f"/proc/self/fd/{{fd}}")
              and os.readlink(f"/proc/self/fd/{{fd}}").startswith("pipe:")]
    rest = {!r}
    while rest:
        rest = rest[os.write(pipe, rest):]
    os._exit(0)
"""
ROLE = "arn:aws:iam::123456789012:role/annex"
LOCAL_DEADLINE_S = 20.0


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path).made()


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with Cloud(speed=0, enforce_iam=True) as cloud:
        trust = {"Version": "2012-10-17", "Statement": []}
        cloud.client("iam").create_role(RoleName="annex", AssumeRolePolicyDocument=json.dumps(trust))
        yield cloud


def static(key_id: str = "AKIASTATIC", secret: str = "s3cret", token: str = "") -> str:  # noqa: S107 - emulated
    lines = f"aws_access_key_id = {key_id}\naws_secret_access_key = {secret}\n"
    return lines + (f"aws_session_token = {token}\n" if token else "")


def iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def refusal(home: Home, name: str = "p") -> str:
    with pytest.raises(NoKeys) as caught:
        home.keys(name)
    assert not caught.value.transient
    return str(caught.value)


# Static keys.


@pytest.mark.parametrize(("file", "section"), [(".aws/credentials", "[p]"), (".aws/config", "[profile p]")])
def test_static_keys_in_either_file_are_used(home: Home, file: str, section: str) -> None:
    home.write(file, f"{section}\n{static(token='atoken')}")
    assert shown(home.keys()) == ("AKIASTATIC", "s3cret", "atoken")


def test_the_files_that_an_order_names_are_read_instead_of_the_usual_ones(home: Home) -> None:
    home.config(f"[profile p]\n{static('AKIAUSUAL')}")
    elsewhere = home.write("elsewhere", f"[p]\n{static()}")
    assert home.keys(credentials_file=str(elsewhere), config_file=f"{home.path}/none").access_key_id == "AKIASTATIC"


def test_a_change_of_the_files_takes_effect_at_the_next_call(home: Home) -> None:
    profiles = home.profiles()
    home.config(f"[profile p]\n{static()}")
    assert home.keys(profiles=profiles) == home.keys(profiles=profiles)
    home.config(f"[profile p]\n{static('AKIAROTATED')}")
    assert home.keys(profiles=profiles).access_key_id == "AKIAROTATED"
    home.config(f"[profile q]\n{static('AKIAROTATED')}")
    with pytest.raises(NoKeys, match="there is no profile p in"):
        home.keys(profiles=profiles)


def test_files_with_crlf_are_read(home: Home) -> None:
    home.config(f"[profile p]\n{static()}".replace("\n", "\r\n"))
    assert shown(home.keys()) == ("AKIASTATIC", "s3cret", None)


@pytest.mark.parametrize(
    ("content", "mode", "expected"),
    [
        (b"\xef\xbb\xbf[profile p]\n", 0o600, "begins with a byte order mark"),
        ("[profile p]\n".encode("utf-16"), 0o600, "begins with a byte order mark"),
        (f"[profile p]\n{static()}".encode(), 0o644, "is accessible to others (mode 0644): chmod 600 it"),
        (b"[profile p\nregion", 0o600, "Unable to parse config file"),
        (b"[profile p]\nregion = x\n", 0o600, "the profile p gives no keys"),
        (b"[p]\nregion = x\n", 0o600, "there is no profile p"),
        (b"", 0o600, "are missing or empty"),
        (b"[profile p]\naws_access_key_id = AKIA\n", 0o600, "aws_secret_access_key"),
        (b"[profile p]\n" + b"#" * 1_100_000, 0o600, "is larger than"),
        (b"[profile p]\nrole_arn = arn\nsource_profile = q\n", 0o600, "q"),
        (b"[profile p]\nsso_session = q\nsso_account_id = 1\nsso_role_name = r\n", 0o600, "sso-session does not exist"),
    ],
)
def test_faults_of_the_files_are_reported(home: Home, content: bytes, mode: int, expected: str) -> None:
    home.config(content, mode)
    message = refusal(home)
    assert expected in message
    assert "secret = " not in message


def test_a_fifo_instead_of_a_file_is_refused_at_once(home: Home) -> None:
    os.mkfifo(home.path / ".aws/config", 0o600)
    begun_s = time.monotonic()
    assert "is not a regular file" in refusal(home)
    assert time.monotonic() - begun_s < LOCAL_DEADLINE_S


# annexd's own keys and environment.


@pytest.mark.parametrize("source", ["Ec2InstanceMetadata", "EcsContainer", "Environment"])
@pytest.mark.parametrize("chained", [False, True])
def test_no_profile_can_use_keys_of_annexds_host(
    home: Home, source: str, *, chained: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAANNEXD")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "annexds")
    host = f"role_arn = {ROLE}\ncredential_source = {source}\n"
    home.config(
        f"[profile p]\nrole_arn = {ROLE}\nsource_profile = q\n[profile q]\n{host}"
        if chained
        else f"[profile p]\n{host}"
    )
    assert f"credential_source = {source} selects keys of the host where annexd runs, which are not" in refusal(home)


def test_a_profile_without_keys_gets_none_from_annexds_environment_or_host(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[bytes]()
    with endpoint(lambda connection, request: asked.append(request) or connection.close()) as host:  # type: ignore[func-returns-value]
        for name, value in {
            "AWS_ACCESS_KEY_ID": "AKIAANNEXD",
            "AWS_SECRET_ACCESS_KEY": "annexds",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": host,
            "AWS_EC2_METADATA_DISABLED": "false",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{host}/keys",
            "AWS_ROLE_ARN": ROLE,
            "AWS_WEB_IDENTITY_TOKEN_FILE": "/etc/hostname",
            "AWS_PROFILE": "other",
        }.items():
            monkeypatch.setenv(name, value)
        home.config(f"[profile p]\nec2_metadata_service_endpoint = {host}\n")
        assert "the profile p gives no keys" in refusal(home)
    assert asked == []


def test_a_program_gets_nothing_of_annexds_environment_or_descriptors(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CONDOR_PRIVATE_INHERIT", "session keys")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "annexds")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.org:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://site:password@proxy.example.org:3128")
    inherited = os.open("/etc/hostname", os.O_RDONLY)
    os.set_inheritable(inherited, True)
    home.process(f"env > {tmp_path}/env\nls -l /proc/self/fd > {tmp_path}/fds\npwd > {tmp_path}/pwd")
    try:
        assert shown(home.keys()) == ("ASIAPROGRAM", "secret", "token")
    finally:
        os.close(inherited)
    environment = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    own = {
        "HOME",
        "USER",
        "LOGNAME",
        "PATH",
        "LANG",
        "PWD",
        "_",
        "SHLVL",
        "OLDPWD",
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "AWS_EC2_METADATA_DISABLED",
    }
    assert set(environment) <= own | set(requester_profiles.PASSED)
    assert environment["HTTPS_PROXY"] == "http://proxy.example.org:3128"
    assert "HTTP_PROXY" not in environment, "the site's password is not the user's"
    assert environment["HOME"] == str(tmp_path) == (tmp_path / "pwd").read_text().strip()
    targets = [line.partition(" -> ")[2] for line in (tmp_path / "fds").read_text().splitlines() if " -> " in line]
    assert targets[:3] == ["/dev/null", f"{tmp_path}/fds", "/dev/null"]
    assert all(target.startswith("/proc/") for target in targets[3:]), "nothing of the supervisor's either"


# Programs.


def test_a_programs_keys_are_cached_until_shortly_before_they_expire(home: Home) -> None:
    counted = f"echo x >> {home.path}/runs"
    home.process(counted, prints={"Expiration": iso(HOUR_S)})
    now_s = time.time()
    clock = [now_s]
    profiles = home.profiles(now_s=lambda: clock[0])
    runs = home.path / "runs"
    for _ in range(3):
        home.keys(profiles=profiles)
    assert runs.read_text() == "x\n"
    clock[0] = now_s + HOUR_S - requester_profiles.RENEW_S + 5
    home.process(counted, prints={"Expiration": iso(2 * HOUR_S), "AccessKeyId": "ASIARENEWED"})
    assert home.keys(profiles=profiles).access_key_id == "ASIARENEWED"
    assert runs.read_text() == "x\nx\n"


def test_keys_that_aws_reports_as_expired_are_renewed(home: Home) -> None:
    home.process(f"echo x >> {home.path}/runs", prints={"Expiration": iso(HOUR_S)})
    profiles = home.profiles()
    profiles.forget(home.keys(profiles=profiles))
    home.keys(profiles=profiles)
    assert (home.path / "runs").read_text() == "x\nx\n"


def test_expired_keys_are_not_used(home: Home) -> None:
    home.process(":", prints={"Expiration": iso(-HOUR_S)})
    assert "expired" in refusal(home)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo the secret is hidden >&2; exit 3", "exited with status 3"),
        ("head -c 40000 /dev/zero", "prints more than 32768 bytes"),
        ("echo '{'", "check it with `aws sts get-caller-identity --profile p`"),
        ("echo '[]'; exit 0", "check it with `aws sts get-caller-identity --profile p`"),
        ("echo '{\"Version\": 2}'; exit 0", "Unsupported version"),
        ('echo \'{"Version": 1, "AccessKeyId": "a"}\'; exit 0', "Missing required key"),
        (
            'echo \'{"Version": 1, "AccessKeyId": "a b", "SecretAccessKey": "c"}\'; exit 0',
            "do not have the form of AWS keys",
        ),
        ("kill -9 $PPID", "exited without an answer"),
    ],
)
def test_a_program_that_gives_no_keys_is_reported_without_its_output(home: Home, script: str, expected: str) -> None:
    home.process(script)
    message = refusal(home)
    assert expected in message
    assert "hidden" not in message


def test_a_missing_program_is_reported(home: Home) -> None:
    home.config("[profile p]\ncredential_process = /nonexistent/keys --token hidden\n")
    message = refusal(home)
    assert "cannot be started on the host where annexd runs: No such file" in message
    assert "hidden" not in message


def test_the_administrator_can_forbid_programs(home: Home) -> None:
    home.process(f"touch {home.path}/ran")
    with pytest.raises(NoKeys, match="this annexd does not run"):
        home.keys(profiles=home.profiles(may_run=False))
    assert not (home.path / "ran").exists()


def test_a_program_that_does_not_end_is_killed_with_all_its_processes(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requester_profiles, "RESOLVE_TIMEOUT_S", 20.0)
    home.process(
        f"(setsid sh -c 'echo $$ >> {home.path}/pids; exec sleep 1000') &\necho $$ >> {home.path}/pids\nsleep 1000"
    )
    assert "no answer within 20 s" in refusal(home)
    pids = (home.path / "pids").read_text().split()
    assert len(pids) == 2
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_processes_left_by_a_program_are_killed_once_its_keys_are_read(home: Home) -> None:
    home.process(
        f"(setsid sh -c 'echo $$ > {home.path}/pid; exec sleep 1000') > /dev/null 2>&1 &\n"
        f"while [ ! -s {home.path}/pid ]; do :; done"
    )
    assert home.keys().access_key_id == "ASIAPROGRAM"
    assert not Path(f"/proc/{(home.path / 'pid').read_text().strip()}").exists()


def test_the_concurrent_programs_of_one_user_are_limited(home: Home) -> None:
    home.process(":")
    with pytest.raises(NoKeys, match=r"already resolving . profiles of") as caught:
        _with_slots_taken(home.keys)
    assert caught.value.transient, "it is retried"
    assert home.keys().access_key_id == "ASIAPROGRAM"


def _with_slots_taken(ask: Callable[[], object]) -> None:
    from contextlib import ExitStack

    with ExitStack() as stack:
        for _ in range(requester_profiles.AT_ONCE):
            stack.enter_context(requester_profiles.SLOTS.take(os.geteuid()))
        ask()


# Forged answers: the process that gives them belongs to the requester.


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "[" * 20000,
        "{}",
        "[]",
        "9" * 5000,
        "nonsense",
        "\udcff",
        '{"digest": [], "access_key_id": 5}',
        '{"fault": ["x"]}',
        '{"fault": "\\ud800\\u0000x", "transient": 5}',
        '{"access_key_id": "a", "secret_access_key": "b\\n"}',
        '{"access_key_id": "a", "secret_access_key": "b", "session_token": {}}',
        "x" * 200_000,
    ],
)
def test_an_invalid_answer_is_refused_with_a_message(home: Home, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoKeys) as caught:
        _keys_by(home, answer, monkeypatch)
    assert str(caught.value).isprintable()
    assert 0 < len(str(caught.value)) <= requester_profiles.LONGEST
    assert not caught.value.transient


@pytest.mark.parametrize("expiry", ["9" * 400, "1e308", "NaN", "Infinity", "-5", "true", '"soon"', "[]"])
def test_an_invalid_expiry_is_ignored(home: Home, expiry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = f'{{"access_key_id": "a", "secret_access_key": "b", "expires_at_s": {expiry}, "digest": "d"}}'
    assert _keys_by(home, answer, monkeypatch).expires_at_s is None


def _keys_by(home: Home, answer: str, monkeypatch: pytest.MonkeyPatch) -> Credentials:
    """Resolve the profile with a worker that sends this answer."""
    worker = home.write("worker.py", WORKER.format(answer.encode(errors="surrogateescape")))
    monkeypatch.setattr(profile_worker, "__file__", str(worker))
    return home.keys()


# Roles.


def test_a_role_is_assumed_at_the_orders_sts_and_an_endpoint_url_in_the_profile_is_ignored(
    home: Home, cloud: Cloud
) -> None:
    asked = list[bytes]()
    with endpoint(lambda _, request: asked.append(request)) as elsewhere:
        home.config(
            f"[profile p]\nrole_arn = {ROLE}\nsource_profile = q\nendpoint_url = {elsewhere}\nservices = s\n"
            f"[services s]\nsts =\n  endpoint_url = {elsewhere}\n"
            f"[profile q]\nendpoint_url = {elsewhere}\n{static(ACCESS_KEY_ID, SECRET_ACCESS_KEY)}"
        )
        credentials = home.keys(sts_url=cloud.url)
    assert asked == []
    assert credentials.access_key_id.startswith("ASIA")
    assert credentials.expires_at_s is not None
    assert 0 < credentials.expires_at_s - time.time() <= HOUR_S
    key_id, secret, token = shown(credentials)
    who = cloud.client("sts", key_id, 1, secret, token).get_caller_identity()
    assert who["Arn"].startswith("arn:aws:sts::123456789012:assumed-role/annex/")


def test_without_an_sts_in_the_order_awss_own_is_used_and_no_endpoint_url_of_a_profile(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere, on_the_way = list[bytes](), list[bytes]()

    def refuse(connection: socket.socket, request: bytes) -> None:
        on_the_way.append(request)
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with endpoint(lambda _, request: elsewhere.append(request)) as named, endpoint(refuse) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        home.config(
            f"[profile p]\nrole_arn = {ROLE}\nsource_profile = q\nendpoint_url = {named}\n"
            f"[profile q]\nendpoint_url = {named}\n{static()}"
        )
        with pytest.raises(NoKeys):
            home.keys()
    assert elsewhere == []
    assert {request.split()[1] for request in on_the_way} == {b"sts.us-east-1.amazonaws.com:443"}


def test_a_role_can_be_assumed_with_a_programs_keys(home: Home, cloud: Cloud) -> None:
    program = home.program(
        ":", prints={"AccessKeyId": ACCESS_KEY_ID, "SecretAccessKey": SECRET_ACCESS_KEY, "SessionToken": None}
    )
    home.config(f"[profile p]\nrole_arn = {ROLE}\nsource_profile = q\n[profile q]\ncredential_process = {program}\n")
    assert home.keys(sts_url=cloud.url).access_key_id.startswith("ASIA")


def test_a_role_that_cannot_be_assumed_is_reported_with_the_answer_of_sts(home: Home, cloud: Cloud) -> None:
    home.config(f"[profile p]\nrole_arn = {ROLE}\nsource_profile = q\n[profile q]\n{static()}")
    with pytest.raises(NoKeys, match=r"AssumeRole was refused .InvalidClientTokenId"):
        home.keys(sts_url=cloud.url)


def test_an_sts_that_does_not_answer_is_retried(home: Home) -> None:
    home.config(f"[profile p]\nrole_arn = {ROLE}\nsource_profile = q\n[profile q]\n{static()}")
    with pytest.raises(NoKeys, match=r"127\.0\.0\.1:1") as caught:
        home.keys(sts_url="http://127.0.0.1:1")
    assert caught.value.transient


def test_a_role_that_needs_an_mfa_code_is_refused_without_a_prompt(home: Home) -> None:
    home.config(
        f"[profile p]\nrole_arn = {ROLE}\nsource_profile = q\nmfa_serial = arn:aws:iam::1:mfa/alice\n"
        f"[profile q]\n{static()}"
    )
    assert "has an mfa_serial, but annexd cannot ask for its code" in refusal(home)


# SSO.


SSO = (
    "[profile p]\nsso_session = lab\nsso_account_id = 123456789012\nsso_role_name = annex\n"
    "[sso-session lab]\nsso_start_url = https://lab.example.org/start\nsso_region = us-east-1\n"
)


@pytest.fixture
def center() -> Iterator[IdentityCenter]:
    credentials = {
        "accessKeyId": "ASIASSO",
        "secretAccessKey": "secret",
        "sessionToken": "token",
        "expiration": int((time.time() + HOUR_S) * 1000),
    }
    with identity_center("good", credentials=credentials, refresh_token="refresh") as center:
        yield center


def logged_in(home: Home, token: str, expires_in_s: float, **more: str) -> Path:
    """Write the token file that `aws sso login` would write."""
    token_file = {
        "startUrl": "https://lab.example.org/start",
        "region": "us-east-1",
        "accessToken": token,
        "expiresAt": iso(expires_in_s),
        **more,
    }
    name = sha1(b"lab").hexdigest()  # noqa: S324 - the file's name, by botocore
    return home.write(f".aws/sso/cache/{name}.json", json.dumps(token_file))


def sso_keys(home: Home, center: IdentityCenter) -> tuple[str, str, str | None]:
    home.config(SSO)
    return shown(home.keys(profiles=home.profiles(urls={"sso": center.url, "sso-oidc": center.url})))


def test_a_user_logged_in_by_sso_gets_the_roles_keys(home: Home, center: IdentityCenter) -> None:
    logged_in(home, "good", HOUR_S)
    assert sso_keys(home, center) == ("ASIASSO", "secret", "token")
    assert center.asked == ["/federation/credentials"]


def test_a_token_that_is_about_to_expire_is_refreshed_in_the_users_own_cache(
    home: Home, center: IdentityCenter
) -> None:
    cache = logged_in(
        home, "old", 60, refreshToken="refresh", clientId="id", clientSecret="s", registrationExpiresAt=iso(HOUR_S)
    )
    assert sso_keys(home, center) == ("ASIASSO", "secret", "token")
    assert center.asked == ["/token", "/federation/credentials"]
    assert json.loads(cache.read_text())["accessToken"] == "good"


@pytest.mark.parametrize(("token", "expires_in_s"), [("good", -60), ("revoked", HOUR_S)])
def test_a_user_whose_login_has_expired_is_asked_to_log_in(
    home: Home, center: IdentityCenter, token: str, expires_in_s: float
) -> None:
    logged_in(home, token, expires_in_s)
    with pytest.raises(NoKeys, match=r"log in \(aws sso login --profile p\)"):
        sso_keys(home, center)


def test_a_user_who_never_logged_in_is_asked_to_log_in(home: Home, center: IdentityCenter) -> None:
    with pytest.raises(NoKeys, match="log in"):
        sso_keys(home, center)

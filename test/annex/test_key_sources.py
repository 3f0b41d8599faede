"""Keys from a profile, or from files with a session token.  Orders keep names and paths, but no key."""

import json
import os
import pwd
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from annexd.annex.fleet.access import KeyFiles
from annexd.annex.request.account_target import AccountTarget
from annexd.annex.request.ad_attributes import AdAttributes
from annexd.annex.request.key_source import KeySource
from annexd.annex.steps import StepContext
from annexd.aws import ClientCache
from annexd.service.requester_profiles import RequesterProfiles
from annexd.workflow import Refused
from test.annex.ads import OWNER
from test.annex.orders import target_at
from test.annex.site import SETTLE_S, Site
from test.cloud import Cloud
from test.cloud.cloud import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from test.service.profiles import Accounts, Home

SESSION_S = 900
FILES: dict[str, Any] = {"PublicKeyFile": None, "SecretKeyFile": None}  # removes the key files of the sample ad
KEYS = f"aws_access_key_id = {ACCESS_KEY_ID}\naws_secret_access_key = {SECRET_ACCESS_KEY}\n"


class Owner(Accounts):
    """Accounts in which the owner of the orders is the user who runs the test."""

    def account(self, owner: str) -> pwd.struct_passwd:
        assert owner == OWNER
        return super().account(f"{pwd.getpwuid(os.geteuid()).pw_name}@{self._uid_domain}")


@dataclass
class ProfileSite(Site):
    """A site whose owner has a home with an AWS configuration."""

    aws: Home = field(default_factory=lambda: Home(Path("/nowhere")))

    def step_context(self) -> StepContext:
        access = KeyFiles(self.read_as, self.cache, defaults=self.trusting(), profiles=self.profiles)
        return StepContext(access, self.now_s, SETTLE_S, self.bundle_sources)

    def __post_init__(self) -> None:
        self.profiles = RequesterProfiles(Owner(self.aws.path))


@pytest.fixture
def owned(site: Site, tmp_path: Path) -> ProfileSite:
    home = tmp_path / "home"
    home.mkdir()
    return ProfileSite(site.cloud, site.arn, site.home, aws=Home(home).made())


# An order with a profile.


def test_an_order_is_carried_out_and_cancelled_with_a_profile_and_the_journal_has_its_name_alone(
    owned: ProfileSite,
) -> None:
    owned.keys.clear()
    owned.aws.config(f"[profile lab]\n{KEYS}")
    answer = owned.order(**FILES, AWSProfile="lab")
    assert answer["Result"] == "Success", answer
    assert owned.cancel(str(answer["AnnexID"]))["Result"] == "Success"
    journal = b"".join(path.read_bytes() for path in owned.home.glob("command_state*"))
    assert b'"lab"' in journal
    assert SECRET_ACCESS_KEY.encode() not in journal
    assert ACCESS_KEY_ID.encode() not in journal


def test_an_order_whose_profile_gives_no_keys_is_a_fault_of_the_request_and_aws_is_not_asked(
    owned: ProfileSite,
) -> None:
    owned.aws.config(f"[profile lab]\n{KEYS}")
    answer = owned.order(**FILES, AWSProfile="labb")
    assert answer["Result"] == "InvalidRequest"
    assert "AWSProfile labb cannot be used: there is no profile labb" in str(answer["ErrorString"])
    assert owned.cloud.audit() == []


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"public": SECRET_ACCESS_KEY.ljust(40, "x").replace("-", "x"), "secret": "AKIAIOSFODNN7EXAMPLE"},
            "are swapped",
        ),
        (
            {"public": "ASIAIOSFODNN7EXAMPLE"},
            "temporary key, which AWS accepts only with its session token; give it as Sess",
        ),
        ({"secret": "\ufeffsecret"}, "SecretKeyFile /home/alice/secret begins with a byte order mark"),
        ({"secret": ""}, "SecretKeyFile /home/alice/secret is empty"),
    ],
)
def test_key_files_with_a_mistake_are_a_fault_of_the_request_and_aws_is_not_asked(
    site: Site, files: dict[str, str], message: str
) -> None:
    for name, content in files.items():
        site.keys[f"/home/alice/{name}"] = content.encode()
    answer = site.order()
    assert answer["Result"] == "InvalidRequest"
    assert message in str(answer["ErrorString"])
    assert site.cloud.audit() == []
    site.keys.clear()
    assert site.order()["Result"] == "InvalidRequest", "nor is one that cannot be opened the cloud's"


def test_a_cancellation_may_bring_a_profile_in_the_place_of_the_orders_files(owned: ProfileSite) -> None:
    annex = str(owned.order()["AnnexID"])
    owned.keys.clear()
    owned.aws.config(f"[profile lab]\n{KEYS}")
    assert owned.cancel(annex, AWSProfile="lab")["Result"] == "Success"


def test_an_annex_that_the_journal_does_not_know_is_found_and_cancelled_with_a_profile(owned: ProfileSite) -> None:
    url = owned.cloud.url
    owned.defaults = type(owned.defaults)(
        shortest_lease_s=1, ec2_url=url, lambda_url=url, sts_url=url, logs_url=url, lease_function_arn=owned.arn
    )
    annex = str(owned.order()["AnnexID"])
    for path in owned.home.glob("command_state*"):
        path.unlink()
    owned.keys.clear()
    owned.aws.config(f"[profile lab]\n{KEYS}")
    assert owned.cancel(annex, AWSProfile="lab")["Result"] == "Success"
    owned.check_nothing_left()


# Session tokens, with IAM enforced.


@pytest.fixture(scope="module")
def enforcing() -> Iterator[Cloud]:
    with Cloud(speed=0, enforce_iam=True) as cloud:
        yield cloud


@dataclass
class Temporary:
    """Sessions of a role that may describe EC2's resources, and the three key files of one session."""

    cloud: Cloud
    files: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cloud.reset()
        iam = self.cloud.client("iam")
        statement = {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}
        self.role = iam.create_role(RoleName="reader", AssumeRolePolicyDocument='{"Statement": []}')["Role"]["Arn"]
        iam.put_role_policy(
            RoleName="reader",
            PolicyName="p",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )
        self.renew()

    def session(self) -> dict[str, str]:
        given = self.cloud.client("sts").assume_role(
            RoleArn=self.role, RoleSessionName="one", DurationSeconds=SESSION_S
        )["Credentials"]
        return {"/id": given["AccessKeyId"], "/secret": given["SecretAccessKey"], "/token": given["SessionToken"]}

    def renew(self) -> None:
        self.files.update(self.session())

    def read_as(self, owner: str, path: str) -> bytes:
        assert owner == OWNER
        return self.files[path].encode() + b"\r\n"

    @property
    def target(self) -> AccountTarget:
        return target_at(self.cloud.url, KeySource("/id", "/secret", session_token_file="/token"))


@pytest.fixture
def temporary(enforcing: Cloud) -> Temporary:
    return Temporary(enforcing)


def test_temporary_keys_are_sent_with_their_session_token(temporary: Temporary) -> None:
    assert "Reservations" in KeyFiles(temporary.read_as)(temporary.target).ec2.describe_instances()


def test_keys_that_were_renewed_in_their_files_are_used_with_their_token_from_the_next_call_on(
    temporary: Temporary,
) -> None:
    access = KeyFiles(temporary.read_as)
    first = access(temporary.target)
    assert access(temporary.target) is first
    temporary.renew()
    second = access(temporary.target)
    assert second is not first
    second.ec2.describe_instances()


def test_another_sessions_token_is_refused_by_aws_and_reported(temporary: Temporary) -> None:
    temporary.files["/token"] = temporary.session()["/token"]
    with pytest.raises(Refused, match=r"GetCallerIdentity with the keys of alice.* was denied") as caught:
        KeyFiles(temporary.read_as)(temporary.target)
    assert temporary.files["/token"] not in str(caught.value)


def test_expired_keys_are_reported_as_such(temporary: Temporary) -> None:
    temporary.cloud.set_clock_ahead(SESSION_S + 60)
    with pytest.raises(Refused, match="have expired"):
        KeyFiles(temporary.read_as)(temporary.target)


def test_a_profile_whose_keys_have_expired_is_resolved_again(owned: ProfileSite) -> None:
    expiry = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    owned.aws.process(f"echo x >> {owned.aws.path}/runs", prints={"Expiration": expiry})
    access = KeyFiles(owned.read_as, ClientCache(), profiles=owned.profiles)
    order = target_at(owned.cloud.url, KeySource(profile="p"))
    runs = owned.aws.path / "runs"
    access(order).ec2.describe_instances()
    access(order)
    assert runs.read_text() == "x\n"
    owned.cloud.fault("DescribeInstances", "expired-token")
    with pytest.raises(ClientError, match="RequestExpired"):
        access(order).ec2.describe_instances()
    access(order).ec2.describe_instances()
    assert runs.read_text() == "x\nx\n"


# The keys in an ad.


def read(**given: Any) -> tuple[KeySource, list[str]]:
    own = AdAttributes(given)
    return KeySource.read(own), own.faults


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"AWSProfile": "p", "PublicKeyFile": "/a", "SecretKeyFile": "/b"},
            "AWSProfile and PublicKeyFile exclude each",
        ),
        ({"AWSProfile": "p", "SessionTokenFile": "/a"}, "AWSProfile and SessionTokenFile exclude each other"),
        ({"PublicKeyFile": "/a", "SessionTokenFile": "/b"}, "SecretKeyFile is missing: key files come in pairs"),
        ({"AWSConfigFile": "/a"}, "AWSConfigFile goes with AWSProfile"),
        ({"AWSProfile": "p", "AWSCredentialsFile": "a"}, "AWSCredentialsFile must be an absolute path"),
        ({"AWSProfile": "p]\n[q"}, "AWSProfile must be a line"),
        ({"AWSProfile": "p]"}, "AWSProfile must be the name of a profile"),
        ({"AWSProfile": " p"}, "AWSProfile must be the name of a profile"),
        ({"AWSProfile": 5}, "AWSProfile must be a string"),
        ({"AWSProfile": "x" * 300}, "AWSProfile must be the name of a profile"),
    ],
)
def test_the_given_place_of_keys_is_checked(given: dict[str, Any], message: str) -> None:
    [fault] = read(**given)[1]
    assert fault.startswith(message)


def test_keys_of_another_source_are_those_of_another_look_at_the_account() -> None:
    sources = [
        KeySource(),
        KeySource(profile="p"),
        KeySource(profile="q"),
        KeySource(profile="p", config_file="/c"),
        KeySource("/a", "/b"),
        KeySource("/a", "/b", "/c"),
    ]
    assert len({target_at(keys=source).key for source in sources}) == len(sources)


def test_a_profile_that_this_annexd_does_not_resolve_is_refused() -> None:
    with pytest.raises(Refused, match="AWSProfile p cannot be used"):
        KeyFiles(lambda *_: b"")(target_at(keys=KeySource(profile="p")))

"""annexd waits for what AWS does not know yet, visibly and for a limited time; any other refusal is final at once."""

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from annexd.annex.bulk_request import bulk_request
from annexd.annex.fleet.inventory import cancel_fleet, terminate
from annexd.annex.index import AnnexIndex
from annexd.annex.status import query_annexes
from annexd.annex.steps import annex_steps
from annexd.annex.translate_aws_errors import translate_aws_errors
from annexd.aws.not_yet import PROPAGATION_S, SPOT_FLEET, TABLE, TAGGING_S, NotYet, not_yet
from annexd.workflow import Engine, Journal, Json, Kind, Refused, Retry
from test.annex.ads import OWNER, SPECIFICATION
from test.annex.joining import BUCKET, defaults
from test.annex.site import BYSTANDER, PACE, Site, wait_for
from test.cloud.propagation import POWERLESS_ROLE, UNKNOWN_ROLE
from test.replies import accepted

PATIENT = replace(PACE, cap_s=1.0)  # its forty attempts last many seconds
ROLE = "arn:aws:iam::123456789012:role/aws-ec2-spot-fleet-tagging-role"
PROFILE = "fresh-profile"
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
CONFIG_CODE = "InvalidSpotFleetRequestConfig"
NEVER_S = 1e6
IN_VAIN = replace(PACE, longest_wait_s=0.5)


@pytest.fixture
def fresh(site: Site) -> Iterator[Site]:
    """Yield a site in an account whose fleet role was created this very moment."""
    iam = site.cloud.client("iam", BYSTANDER)
    iam.list_roles()  # the first call of a service takes longer than the others
    iam.create_role(RoleName=ROLE.rpartition("/")[2], AssumeRolePolicyDocument=TRUST)
    site.cloud.behave(roles_late_s=NEVER_S)
    yield site
    site.cloud.behave(roles_late_s=0.0)
    iam.delete_role(RoleName=ROLE.rpartition("/")[2])


def client_error(row: NotYet) -> ClientError:
    code = f"InvalidSpotFleetRequestId{row.code}" if row.code.startswith(".") else row.code
    return ClientError({"Error": {"Code": code, "Message": f"Parameter: {row.says} is so"}}, row.operation)


def translated(error: Exception, **names: str) -> Exception:
    with pytest.raises((Retry, Refused)) as raised, translate_aws_errors("a call", **names):
        raise error
    return raised.value


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.operation} {row.code} {row.says}")
def test_the_table_says_of_each_error_whether_it_is_waited_for_and_on_what_evidence(row: NotYet) -> None:
    assert row.evidence.startswith(("CERTAIN", "LIKELY", "SUSPECTED", "CloudFormation has seen"))
    assert row.what
    assert row.next_step
    assert row.wait_s in (0.0, PROPAGATION_S, TAGGING_S)
    reported = translated(client_error(row), IamFleetRole=ROLE, bucket=BUCKET)
    if row.wait_s:
        assert isinstance(reported, Retry)
        assert reported.untouched
        assert reported.wait is not None
        assert (reported.wait.longest_s, reported.wait.next_step) == (row.wait_s, row.next_step)
        assert "{" not in reported.wait.what
    else:
        assert isinstance(reported, Refused)


def test_the_fleet_role_is_waited_for_for_two_minutes_as_terraform_does() -> None:
    rows = [row for row in TABLE if row.code == CONFIG_CODE]
    assert [row.wait_s for row in rows] == [120.0]
    assert all(rows[0].fits(SPOT_FLEET, CONFIG_CODE, wording) for wording in (UNKNOWN_ROLE, POWERLESS_ROLE))


@pytest.mark.parametrize(
    ("operation", "code", "message"),
    [
        (SPOT_FLEET, CONFIG_CODE, "TargetCapacity must be positive."),
        (SPOT_FLEET, "InvalidParameterValue", "Invalid availability zone"),
        (SPOT_FLEET, "NoSuchBucket", ""),
        ("CancelSpotFleetRequests", "InvalidSpotFleetRequestId.NotFound", ""),
        ("DescribeSpotFleetRequests", CONFIG_CODE, UNKNOWN_ROLE),
    ],
)
def test_an_error_that_only_resembles_one_of_the_table_is_not_waited_for(
    operation: str, code: str, message: str
) -> None:
    assert not_yet(ClientError({"Error": {"Code": code, "Message": message}}, operation)) is None


def refusals(site: Site, operation: str) -> list[str]:
    calls = [each for each in site.cloud.audit() if each["kind"] == "call" and each["operation"] == operation]
    return [str(each["error"]) for each in calls if "error" in each]


@contextmanager
def known_once_refused(site: Site, operation: str, late: str) -> Iterator[None]:
    """Make AWS unaware of a new resource meanwhile, until it has refused `operation`, however late that comes."""

    def wait() -> None:
        wait_for(lambda: bool(refusals(site, operation)), f"AWS to refuse {operation}")
        site.cloud.behave(**{late: 0.0})

    site.cloud.behave(**{late: NEVER_S})
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait)
        yield
        waiting.result()


@pytest.mark.parametrize("wording", [UNKNOWN_ROLE, POWERLESS_ROLE])
def test_a_fleet_role_that_aws_does_not_know_yet_is_waited_for(site: Site, wording: str) -> None:
    site.cloud.fault("RequestSpotFleet", "error", times=3, code=CONFIG_CODE, message=wording)
    accepted(site.order())
    assert site.operations().count("RequestSpotFleet") == 4


def test_an_order_right_after_setup_waits_for_the_fleet_role_and_undoes_nothing(fresh: Site) -> None:
    with known_once_refused(fresh, SPOT_FLEET, "roles_late_s"):
        reply = fresh.order(PATIENT)
    assert reply["Result"] == "Success", reply
    assert f"<Code>{CONFIG_CODE}</Code>" in refusals(fresh, "RequestSpotFleet")[0]
    operations = fresh.operations()
    assert operations.count("GetFunction") == 1, "nothing was begun again"
    assert "DescribeSpotFleetRequests" not in operations, "nothing was looked for to be undone"
    fresh.check_all_leased()


def test_a_fleet_role_that_stays_unknown_is_refused_with_what_was_waited_for_and_the_next_step(fresh: Site) -> None:
    began_s = time.monotonic()
    reply = fresh.order(IN_VAIN)
    assert time.monotonic() - began_s >= IN_VAIN.longest_wait_s
    assert reply["Result"] == "Failure"
    wording = str(reply["ErrorString"])
    assert UNKNOWN_ROLE in wording
    assert re.search(rf"annexd waited \d+ s for AWS to know the fleet role {ROLE}: ", wording), wording
    assert "condor_annex -check-setup reports which" in wording
    fresh.check_nothing_left()


def test_another_refusal_of_aws_is_final_at_once(site: Site) -> None:
    site.cloud.fault("RequestSpotFleet", "error", times=9, code=CONFIG_CODE, message="TargetCapacity must be positive.")
    assert site.order()["Result"] == "Failure"
    assert site.operations().count("RequestSpotFleet") == 1


def test_the_wait_is_shown_in_status_and_once_in_the_log(fresh: Site) -> None:
    fresh.cloud.fault(SPOT_FLEET, "error", skip=1, code=CONFIG_CODE, message=POWERLESS_ROLE)
    reported, shown, journal = list[str](), list[Json](), fresh.journal()

    def wait(seconds: float) -> bool:
        ad = {"Command": "CA_QUERY_ANNEXES", "RequestVersion": 1}
        answer = query_annexes(ad, OWNER, AnnexIndex(engine), fresh.defaults, fresh.now_s(), {})
        shown.extend(json.loads(str(answer["Annexes"])))
        time.sleep(seconds)
        return False

    engine = Engine(
        journal, annex_steps(fresh.step_context()), pace=PATIENT, now_s=fresh.now_s, wait=wait, report=reported.append
    )
    try:
        with known_once_refused(fresh, SPOT_FLEET, "roles_late_s"):
            reply = bulk_request(fresh.ad(), OWNER, engine, fresh.defaults, fresh.now_s())
    finally:
        journal.close()
    assert reply["Result"] == "Success"
    assert len(shown) > 1, "it is refused in two wordings"
    assert {annex["State"] for annex in shown} == {"ordering"}
    assert all(f"waiting for AWS to know the fleet role {ROLE}, for " in annex["Trouble"] for annex in shown)
    [line] = reported
    assert f"Request {reply['CommandID']} waits up to 120 s for AWS to know the fleet role {ROLE}: " in line


def test_a_fresh_instance_profile_is_waited_for(site: Site) -> None:
    iam = site.cloud.client("iam", BYSTANDER)
    iam.create_instance_profile(InstanceProfileName=PROFILE)
    named = [SPECIFICATION | {"IamInstanceProfile": {"Name": PROFILE}}]
    try:
        with known_once_refused(site, SPOT_FLEET, "profiles_late_s"):
            reply = site.order(PATIENT, LaunchSpecifications=named)
    finally:
        site.cloud.behave(profiles_late_s=0.0)
        iam.delete_instance_profile(InstanceProfileName=PROFILE)
    assert reply["Result"] == "Success", reply
    assert (
        f"Value ({PROFILE}) for parameter iamInstanceProfile.name is invalid" in refusals(site, "RequestSpotFleet")[0]
    )


@pytest.mark.parametrize("code", ["InvalidGroup.NotFound", "InvalidSubnetID.NotFound", "InvalidKeyPair.NotFound"])
def test_a_new_ec2_resource_is_waited_for(site: Site, code: str) -> None:
    site.cloud.fault("RequestSpotFleet", "error", times=3, code=code)
    accepted(site.order())
    assert site.operations().count("RequestSpotFleet") == 4


@pytest.fixture
def new_bucket(site: Site) -> Iterator[Site]:
    """Yield a site whose annexes join a pool, and whose bucket was created this very moment."""
    s3 = site.cloud.client("s3", BYSTANDER)
    s3.create_bucket(Bucket=BUCKET)
    site.defaults = defaults(s3_url=site.cloud.url)
    yield site
    site.cloud.behave(buckets_late_s=0.0)
    for key in keys(site):
        s3.delete_object(Bucket=BUCKET, Key=key)
    s3.delete_bucket(Bucket=BUCKET)


def keys(site: Site) -> list[str]:
    return [
        each["Key"] for each in site.cloud.client("s3", BYSTANDER).list_objects_v2(Bucket=BUCKET).get("Contents", ())
    ]


def test_a_fresh_bucket_is_waited_for(new_bucket: Site) -> None:
    with known_once_refused(new_bucket, "PutObject", "buckets_late_s"):
        reply = new_bucket.order(PATIENT)
    assert reply["Result"] == "Success", reply
    assert new_bucket.operations().count("PutObject") > 1
    assert keys(new_bucket) == [f"annex/{reply['AnnexID']}.tar.gz"]


def test_a_missing_bucket_is_refused_and_the_message_says_what_was_waited_for(site: Site) -> None:
    site.defaults = defaults(s3_url=site.cloud.url)
    wording = str(site.order(IN_VAIN)["ErrorString"])
    text = rf"annexd waited \d+ s for AWS to know the bucket {BUCKET}: name a bucket that exists \(-s3-bucket"
    assert re.search(text, wording), wording


# "Not found" is not "ended".


class StoppedMidway(Journal):
    """Stops its order, as a cancellation does, while the fleet is being requested."""

    stop = staticmethod(lambda _: None)

    def append(self, command_id: str, step: str, kind: Kind, body: Json, reserved: Json | None = None) -> None:
        super().append(command_id, step, kind, body, reserved)
        if (step, kind) == ("request_fleet", Kind.INTENT):
            self.stop(command_id)


def test_a_fleet_that_ec2_does_not_list_yet_is_not_called_undone_though_its_answer_was_clear(site: Site) -> None:
    context = replace(site.step_context(), settle_s=30.0)  # as on a slow machine
    site.step_context = lambda: context  # type: ignore[method-assign]
    journal = site.journal(StoppedMidway)
    try:
        engine = site.engine(journal)
        journal.stop = lambda command_id: engine.stop(command_id, "it was cancelled")  # type: ignore[attr-defined]
        site.cloud.fault("DescribeSpotFleetRequests", "lag", times=2, lag_s=3600.0)
        reply = bulk_request(site.ad(), OWNER, engine, site.defaults, site.now_s())
    finally:
        journal.close()
    assert reply["Result"] == "Failure"
    assert len(site.cloud.faults()) == 0
    site.check_nothing_left()


def test_an_object_is_not_called_deleted_by_an_s3_that_does_not_know_its_new_bucket(new_bucket: Site) -> None:
    new_bucket.cloud.fault("RequestSpotFleet", "denied", times=9)
    new_bucket.cloud.fault("DeleteObject", "error", times=2, code="NoSuchBucket", status=404)
    assert new_bucket.order()["Result"] == "Failure"
    assert (keys(new_bucket), new_bucket.cloud.faults()[1:]) == ([], [])


def test_an_instance_that_terminateinstances_does_not_know_is_looked_at_again(site: Site) -> None:
    """By the EC2 developer guide, it may be running all the same."""
    with pytest.raises(Retry, match=r"InvalidInstanceID\.NotFound"):
        terminate(site.cloud.client("ec2"), ["i-0123456789abcdef0"])


def test_a_fleet_that_a_cancellation_does_not_know_is_looked_at_again(site: Site) -> None:
    with pytest.raises(Retry, match="fleetRequestIdDoesNotExist"):
        cancel_fleet(site.cloud.client("ec2"), "sfr-12345678-1234-1234-1234-123456789012")


def test_an_extension_waits_until_a_fleet_can_be_tagged(site: Site) -> None:
    annex_id = str(site.order()["AnnexID"])
    site.cloud.fault("CreateTags", "error", times=3, code="InvalidSpotFleetRequestId.NotFound")
    reply = site.change(annex_id, LeaseExtension=600)
    assert reply["Result"] == "Success", reply
    assert site.cloud.faults() == []


def test_a_cancellation_waits_until_a_fleet_can_be_tagged(site: Site) -> None:
    annex_id = str(site.order()["AnnexID"])
    site.cloud.fault("CreateTags", "error", times=3, code="InvalidSpotFleetRequestId.NotFound")
    assert site.cancel(annex_id)["Result"] == "Success"
    site.check_nothing_left()

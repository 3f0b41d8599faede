"""The bundle for an annex's machines: the pool's address, the jobs' owners, the lease's end, the annex's own token."""

import io
import json
import tarfile
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annexd.annex.join.config_bundle import MOST_BYTES, Present, completed, config_bundle, present_config_bundle
from annexd.annex.lease.identifiers import leased_token
from annexd.annex.lease.lease import lease_end, utc
from annexd.annex.request.faults import InvalidRequest
from annexd.annex.request.order import FleetOrder, new_order
from annexd.annex.request.request import BulkRequest
from annexd.cedar.token import parse_token
from annexd.workflow import Refused, from_json, to_json
from test.annex.ads import ID, NOW_S, OWNER, SPECIFICATION, bulk_request_ad
from test.annex.joining import BUCKET, DEFAULTS, BundleSources, defaults
from test.annex.orders import join_of

MAX_LEASE_S = 30 * 86_400
FILES = {"60-mine.conf": b"FOO = bar\n", "README": b"\x00\xff"}


def order(bundle_sources: BundleSources | None = None, owner: str = OWNER, **changes: Any) -> FleetOrder:
    request = BulkRequest.from_ad(bulk_request_ad(**changes), NOW_S, DEFAULTS)
    return completed(new_order(request, owner), bundle_sources or BundleSources({"/home/alice/config": FILES}))


def members(one: FleetOrder, bundle_sources: BundleSources | None = None) -> dict[str, bytes]:
    return unpacked(config_bundle(one, bundle_sources or BundleSources({"/home/alice/config": FILES}), MAX_LEASE_S))


def unpacked(packed: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as tar:
        entries = {entry.name: entry for entry in tar.getmembers()}
        assert all(entry.isreg() and entry.mode == 0o600 and entry.uid == 0 for entry in entries.values())
        found = {name: tar.extractfile(entry) for name, entry in entries.items()}
        return {name: file.read() for name, file in found.items() if file is not None}


def config(**changes: Any) -> str:
    return members(order(**changes))["50-condor-annex.conf"].decode()


def faults(bundle_sources: BundleSources | None = None, owner: str = OWNER, **changes: Any) -> tuple[str, ...]:
    with pytest.raises(InvalidRequest) as caught:
        order(bundle_sources, owner, **changes)
    return caught.value.faults


def test_without_a_bucket_an_annex_has_no_object() -> None:
    request = BulkRequest.from_ad(bulk_request_ad(), NOW_S, defaults(s3_bucket=None))
    assert new_order(request, OWNER).join is None


def test_a_request_may_want_none() -> None:
    assert order(JoinPool=False).join is None


def test_the_object_has_the_key_that_the_lease_function_deletes_and_the_instances_role_may_read() -> None:
    one = order()
    assert (join_of(one).bucket, join_of(one).key) == (BUCKET, f"annex/{one.annex_id}.tar.gz")


def test_the_manifest_says_whose_the_object_is() -> None:
    one = order(AnnexName="physics")
    assert json.loads(members(one)["annex.json"]) == {
        "AnnexID": one.annex_id,
        "AnnexName": "physics",
        "LeaseEnd": one.end_of_lease_s,
        "ClientToken": one.client_token,
        "MaxLease": MAX_LEASE_S,
        "Tags": {"htcondor:annex-lease-end": utc(one.end_of_lease_s)},
        "Pool": "cm.example.org:9618?sock=collector",
    }


def test_the_same_order_makes_the_same_object_to_the_byte() -> None:
    one = order(ConfigDir="/home/alice/config")
    bundle_sources = BundleSources({"/home/alice/config": FILES})
    again = from_json(FleetOrder, json.loads(json.dumps(to_json(one))))
    assert config_bundle(one, bundle_sources, MAX_LEASE_S) == config_bundle(again, bundle_sources, MAX_LEASE_S)


def test_no_token_and_no_file_stands_in_the_order() -> None:
    one = order(ConfigDir="/home/alice/config")
    token = members(one)["annex.token"].decode().strip()
    assert token not in json.dumps(to_json(one))
    assert token.rpartition(".")[2] not in json.dumps(to_json(one))
    assert "FOO = bar" not in json.dumps(to_json(one))


def test_the_token_is_of_this_annex_alone_for_advertising_a_machine_and_ends_with_the_lease() -> None:
    one = order()
    text = members(one)["annex.token"].decode().strip()
    token = parse_token(text.rpartition(".")[0])
    assert token.facts.subject == f"{one.annex_id}@example.org"
    assert (token.facts.issuer, token.key_id) == ("example.org", "POOL")
    assert set(token.limits) == {"ADVERTISE_STARTD", "ADVERTISE_MASTER"}
    assert token.facts.expires_at_s == one.end_of_lease_s + 300
    assert token.issued_at_s == int(NOW_S) - 60, "a clock that is a little slow is no reason to refuse it"


def test_two_annexes_have_two_tokens_with_two_ids() -> None:
    first, second = order(), order()
    assert join_of(first).token_claims.jti != join_of(second).token_claims.jti


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({}, f'AnnexOwns = (TARGET.User =?= "{OWNER}")'),
        ({"NoOwner": True}, "AnnexOwns = True"),
        (
            {"AnnexOwner": "bob, carol@example.org"},
            'AnnexOwns = (TARGET.Owner =?= "bob" || TARGET.User =?= "carol@example.org")',
        ),
    ],
)
def test_start_admits_the_owners_jobs_or_everybodys(changes: dict[str, Any], start: str) -> None:
    assert start in config(**changes).splitlines()


def test_the_slots_say_which_annex_they_are_and_until_when() -> None:
    lines = config(AnnexName="physics").splitlines()
    assert 'AnnexName = "physics"' in lines
    assert f"LeaseEnd = {int(NOW_S) + 3600}" in lines
    assert "STARTD_ATTRS = $(STARTD_ATTRS) IsAnnex AnnexID AnnexName LeaseEnd ClassAdLifetime" in lines
    assert lines.index("ClassAdLifetime = 600") > lines.index("UPDATE_INTERVAL = 300")


@pytest.mark.parametrize(("idle_s", "update_s"), [(5, 10), (60, 12), (600, 120), (86_400, 300)])
def test_a_startd_checks_five_times_within_the_idle_time_whether_it_had_claims(idle_s: int, update_s: int) -> None:
    lines = config(MaxIdleTime=idle_s).splitlines()
    assert f"STARTD_NOCLAIM_SHUTDOWN = {idle_s}" in lines
    assert f"UPDATE_INTERVAL = {update_s}" in lines
    assert "ClassAdLifetime = 600" in lines


def test_jobs_are_sent_away_two_minutes_before_the_end_and_in_a_short_lease_a_tenth_of_it() -> None:
    assert join_of(order()).drain_s == 120
    assert join_of(order(EndOfLease=int(NOW_S) + 600)).drain_s == 60
    assert join_of(order(EndOfLease=int(NOW_S) + 50)).drain_s == 10


def test_a_machine_without_work_ends_only_if_that_is_asked_for() -> None:
    assert "STARTD_NOCLAIM_SHUTDOWN" not in config()
    assert "STARTD_NOCLAIM_SHUTDOWN = 600" in config(MaxIdleTime=600).splitlines()


def test_the_users_own_files_go_with_it() -> None:
    found = members(order(ConfigDir="/home/alice/config"))
    assert FILES.items() <= found.items()
    assert list(found)[:3] == ["annex.json", "50-condor-annex.conf", "annex.token"]


def test_files_that_changed_since_the_order_are_not_sent() -> None:
    one = order(ConfigDir="/home/alice/config")
    with pytest.raises(Refused, match="have changed since the order"):
        config_bundle(
            one, BundleSources({"/home/alice/config": {**FILES, "60-mine.conf": b"FOO = evil\n"}}), MAX_LEASE_S
        )


def test_a_missing_key_is_reported() -> None:
    one, bundle_sources = order(), BundleSources()
    bundle_sources.key = None
    with pytest.raises(Refused, match="there is no signing key POOL"):
        config_bundle(one, bundle_sources, MAX_LEASE_S)


# The object after the end of the lease was moved.

LATER_S = NOW_S + 1800


def present(
    one: FleetOrder,
    bundle_sources: BundleSources | None = None,
    end_s: int = int(NOW_S) + 9000,
    cancelled_s: int | None = None,
) -> dict[str, bytes]:
    written = Present(end_s, MAX_LEASE_S, cancelled_s)
    return unpacked(
        present_config_bundle(one, bundle_sources or BundleSources({"/home/alice/config": FILES}), written, LATER_S)
    )


def lines(found: dict[str, bytes]) -> set[str]:
    return set(found["50-condor-annex.conf"].decode().splitlines())


def test_a_moved_end_is_in_the_manifest_in_its_tags_and_in_what_htcondor_reads() -> None:
    one = order()
    found = present(one)
    before, after = json.loads(members(one)["annex.json"]), json.loads(found["annex.json"])
    end_s = int(NOW_S) + 9000
    assert after == before | {"LeaseEnd": end_s, "Tags": {"htcondor:annex-lease-end": utc(end_s)}}
    changed = lines(found) - lines(members(one))
    assert changed == {f"LeaseEnd = {end_s}"}


def test_the_end_that_machines_compute_of_it_is_the_end_that_annexd_was_asked_for() -> None:
    one = replace(order(), client_token=leased_token("annex-one", int(NOW_S) + 3600))
    for end_s, cancelled_s in ((int(NOW_S) + 9000, None), (int(NOW_S) + 60, None), (int(LATER_S), int(LATER_S))):
        written = json.loads(present(one, end_s=end_s, cancelled_s=cancelled_s)["annex.json"])
        assert (
            lease_end(written["ClientToken"], written["Tags"], NOW_S, written["MaxLease"])
            == written["LeaseEnd"]
            == end_s
        )


def test_a_moved_end_brings_a_new_token_that_ends_with_it_and_is_the_same_annexs() -> None:
    one = order()
    before, after = (
        parse_token(found["annex.token"].decode().strip().rpartition(".")[0]) for found in (members(one), present(one))
    )
    assert after.facts.expires_at_s == NOW_S + 9000 + 300
    assert after.issued_at_s == LATER_S - 60
    assert (after.facts.subject, after.facts.issuer, after.limits) == (
        before.facts.subject,
        before.facts.issuer,
        before.limits,
    )
    assert present(one)["annex.token"] != present(one)["annex.token"], "each has an ID of its own"


def test_a_lease_can_be_moved_after_its_user_has_changed_the_folder_and_new_machines_get_it_as_it_is() -> None:
    one = order(ConfigDir="/home/alice/config")
    found = present(one, BundleSources({"/home/alice/config": {"70-new.conf": b"BAR = 1\n"}}))
    assert found.keys() == {"annex.json", "50-condor-annex.conf", "annex.token", "70-new.conf"}


def test_a_folder_or_a_key_that_became_unusable_is_reported() -> None:
    one, without_key = order(ConfigDir="/home/alice/config"), BundleSources({"/home/alice/config": FILES})
    without_key.key = None
    with pytest.raises(Refused, match="can no longer be used: /home/alice/config cannot be opened"):
        present(one, BundleSources())
    with pytest.raises(Refused, match=r"'annex\.token' is annexd's own name"):
        present(one, BundleSources({"/home/alice/config": {"annex.token": b""}}))
    with pytest.raises(Refused, match="there is no signing key POOL"):
        present(one, without_key)


def test_machines_learn_of_a_cancellation_without_key_and_folder() -> None:
    one, nothing = order(ConfigDir="/home/alice/config"), BundleSources()
    nothing.key = None
    found = present(one, nothing, int(LATER_S), int(LATER_S))
    assert found.keys() == {"annex.json", "50-condor-annex.conf"}
    assert json.loads(found["annex.json"])["Tags"]["htcondor:annex-cancelled"] == utc(LATER_S)
    assert f"LeaseEnd = {int(LATER_S)}" in lines(found)


def test_every_fault_of_the_folder_is_reported() -> None:
    files = {"annex.token": b"", ".hidden": b"", "x~": b"", "a.rpmsave": b"", "big": b"x" * (MOST_BYTES + 1)}
    [written] = faults(BundleSources({"/c": files}), ConfigDir="/c")
    for message in ("'annex.token' is annexd's own name", "'.hidden'", "'x~'", "'a.rpmsave'", "the limit is 1048576"):
        assert message in written


def test_an_unreadable_folder_and_a_missing_key_are_reported_at_once() -> None:
    bundle_sources = BundleSources()
    bundle_sources.key = None
    first, second = faults(bundle_sources, ConfigDir="/nowhere")
    assert "ConfigDir cannot be used: /nowhere cannot be opened" in first
    assert "there is no signing key POOL" in second
    assert "-no-join" in second


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ConfigDir": "config"}, "ConfigDir must be an absolute path"),
        ({"MaxIdleTime": 0}, "MaxIdleTime must be a number of seconds from 1"),
        ({"MaxIdleTime": "long"}, "MaxIdleTime must be a number of seconds from 1"),
        ({"NoOwner": "yes"}, "NoOwner must be true or false"),
        ({"NoOwner": True, "AnnexOwner": "bob"}, "AnnexOwner and NoOwner exclude each other"),
        ({"AnnexOwner": 'bob" || True || "'}, "AnnexOwner must be up to 50 users"),
        ({"AnnexOwner": "$(SECRET)"}, "AnnexOwner must be up to 50 users"),
        ({"AnnexName": 'x"\nDAEMON_LIST = '}, "AnnexName must be a line"),
        ({"AnnexName": "x $(Y)"}, "AnnexName must be 1 to 63"),
        ({"S3Bucket": "Not A Bucket"}, "S3Bucket must be the name of an S3 bucket"),
        ({"S3URL": "ftp://x"}, "S3URL must be a URL"),
        ({"S3URL": "https://s3.eu-west-1.amazonaws.com"}, "S3URL https://s3.eu-west-1.amazonaws.com is in eu-west-1"),
        ({"JoinPool": False, "ConfigDir": "/c"}, "ConfigDir is only for instances that join the pool"),
    ],
)
def test_faults_of_the_requested_join_are_reported(changes: dict[str, Any], message: str) -> None:
    assert any(message in fault for fault in faults(**changes)), faults(**changes)


@given(name=st.text(max_size=12), users=st.text(max_size=12) | st.text(alphabet='ab@. ,"$()\\|=', max_size=12))
def test_no_request_can_add_a_line_to_the_configuration(name: str, users: str) -> None:
    try:
        text = config(AnnexName=name, AnnexOwner=users)
    except InvalidRequest:
        return
    ours = config(AnnexName="ours", AnnexOwner="ours").splitlines()
    theirs = text.splitlines()
    assert [line.partition(" =")[0].partition("annex-")[0] for line in theirs] == [
        line.partition(" =")[0].partition("annex-")[0] for line in ours
    ]
    allowed = "$(STARTD_ATTRS)", "$(MASTER_ATTRS)"
    assert sum(map(text.count, allowed)) == 2
    assert text.count("$(") == "\n".join(ours).count("$(")


def test_a_requester_whose_name_fits_no_expression_gets_the_remedy() -> None:
    assert "-no-owner" in faults(owner='eve"@example.org')[0]
    assert join_of(order(owner='eve"@example.org', NoOwner=True)).users == ()


@pytest.mark.parametrize(
    "changes", [{"collector_host": ""}, {"collector_host": "cm $(X)"}, {"trust_domain": ""}, {"trust_domain": "a, b"}]
)
def test_an_annexd_that_does_not_know_its_pool_says_so(changes: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest, match=r"annexd's (ANNEX_COLLECTOR_HOST|TRUST_DOMAIN)"):
        BulkRequest.from_ad(bulk_request_ad(), NOW_S, defaults(**changes))


# The resources of -setup fill the gaps of a request.

PROFILE, GROUP = "arn:aws:iam::123456789012:instance-profile/annex", "sg-0123456789abcdef0"
ROLE = "arn:aws:iam::123456789012:role/fleet"
SET_UP = defaults(instance_profile_arn=PROFILE, security_group_id=GROUP, fleet_role_arn=ROLE)


def filled(**changes: Any) -> BulkRequest:
    return BulkRequest.from_ad(bulk_request_ad(**changes), NOW_S, SET_UP)


def specification(request: BulkRequest) -> dict[str, Any]:
    [one] = request.config["LaunchSpecifications"]
    return dict(one)


def test_missing_role_profile_and_group_are_filled_in() -> None:
    request = filled(IamFleetRole=None)
    assert request.config["IamFleetRole"] == ROLE
    assert specification(request)["IamInstanceProfile"] == {"Arn": PROFILE}
    assert specification(request)["SecurityGroups"] == [{"GroupId": GROUP}]


def test_the_request_takes_precedence() -> None:
    own = SPECIFICATION | {"IamInstanceProfile": {"Name": "own"}, "SecurityGroups": [{"GroupId": f"sg-{ID}"}]}
    request = filled(LaunchSpecifications=[own])
    assert specification(request)["IamInstanceProfile"] == {"Name": "own"}
    assert specification(request)["SecurityGroups"] == [{"GroupId": f"sg-{ID}"}]
    assert request.config["IamFleetRole"].endswith("aws-ec2-spot-fleet-tagging-role")


@pytest.mark.parametrize("place", [{"SubnetId": f"subnet-{ID}"}, {"NetworkInterfaces": [{"DeviceIndex": 0}]}])
def test_a_request_for_another_network_keeps_that_ones_groups(place: dict[str, Any]) -> None:
    request = filled(LaunchSpecifications=[SPECIFICATION | place])
    assert "SecurityGroups" not in specification(request)


def test_instances_that_do_not_join_need_no_profile() -> None:
    assert "IamInstanceProfile" not in specification(filled(JoinPool=False))


def test_the_gaps_of_a_launch_template_are_reported() -> None:
    configs = [{"LaunchTemplateSpecification": {"LaunchTemplateId": f"lt-{ID}", "Version": "1"}}]
    request = filled(LaunchSpecifications=None, LaunchTemplateConfigs=configs)
    assert request.config["LaunchTemplateConfigs"] == configs
    assert any(PROFILE in note for note in request.notes)


def test_user_data_is_not_touched() -> None:
    request = filled(LaunchSpecifications=[SPECIFICATION | {"UserData": "QUJD"}])
    assert specification(request)["UserData"] == "QUJD"

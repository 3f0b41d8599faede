"""The reply ad is one that every HTCondor client can read."""

import subprocess
import sys

from annexd.annex.defaults import Defaults
from annexd.annex.reply import reply, reply_of
from annexd.annex.warm import warm_up
from annexd.workflow import Outcome


def test_a_reply_is_on_one_line_and_unambiguous_as_an_old_classad() -> None:
    ad = reply("Failure", 'first\n  second "\\" third', command_id="1")
    assert ad["ErrorString"] == 'first second "" third'
    assert ad["CommandID"] == "1"


def test_a_success_has_no_error_and_a_failure_always_has_one() -> None:
    assert "ErrorString" not in reply_of(Outcome("1", "alice", {}, "Success", "", {}, {}))
    assert reply_of(Outcome("1", "alice", {}, "Failure", "", {}, {}))["ErrorString"]


def test_who_may_not_pass_a_role_is_told_what_to_leave_out() -> None:
    denied = "UnauthorizedOperation: not authorized to perform: iam:PassRole on resource: arn:aws:iam::1:role/mine"
    words = str(reply_of(Outcome("1", "alice", {}, "Failure", denied, {}, {}))["ErrorString"])
    assert words.startswith(denied)
    assert "where the file leaves IamFleetRole and IamInstanceProfile out" in words


def test_what_is_not_known_is_left_out() -> None:
    ad = reply_of(Outcome("1", "alice", {}, "Failure", "denied", {}, {}))
    assert set(ad) == {"MyType", "TargetType", "RequestVersion", "Result", "ErrorString", "CommandID"}


def test_warming_up_asks_no_network() -> None:
    warm_up(Defaults(ec2_url="http://127.0.0.1:9", events_url="http://127.0.0.1:9", lambda_url="http://127.0.0.1:9"))


def test_the_light_modules_load_no_aws() -> None:
    modules = "annexd.annex.defaults, annexd.annex.faults, annexd.annex.identifiers, annexd.annex.lease"
    program = f"import sys, {modules}; assert not {{'botocore', 'boto3', 'sqlite3'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)

"""Every HTCondor client can read the reply ad."""

import subprocess
import sys

from annexd.annex.preload import preload
from annexd.annex.reply import reply, reply_of, reply_of_change
from annexd.annex.request.defaults import Defaults
from annexd.annex.steps.change_checks import LeaseRead, MachinesInformed
from annexd.workflow import Outcome, Results
from test.annex.orders import change_order, fleet_order


def test_a_reply_is_on_one_line_and_unambiguous_as_an_old_classad() -> None:
    ad = reply("Failure", 'first\n  second "\\" third', command_id="1")
    assert ad["ErrorString"] == 'first second "" third'
    assert ad["CommandID"] == "1"


def test_a_success_has_no_error_and_a_failure_always_has_one() -> None:
    assert "ErrorString" not in reply_of(Outcome("1", "alice", None, "Success", "", Results()))
    assert reply_of(Outcome("1", "alice", None, "Failure", "", Results()))["ErrorString"]


def test_a_user_who_may_not_pass_a_role_learns_what_to_leave_out() -> None:
    denied = "UnauthorizedOperation: not authorized to perform: iam:PassRole on resource: arn:aws:iam::1:role/mine"
    message = str(reply_of(Outcome("1", "alice", None, "Failure", denied, Results()))["ErrorString"])
    assert message.startswith(denied)
    assert "if the file omits IamFleetRole and IamInstanceProfile" in message


def test_unknown_attributes_are_left_out() -> None:
    ad = reply_of(Outcome("1", "alice", None, "Failure", "denied", Results()))
    assert set(ad) == {"MyType", "TargetType", "RequestVersion", "Result", "ErrorString", "CommandID"}


def change(result: str = "Success", retry_at_s: float | None = None, **results: object) -> dict[str, object]:
    order = change_order(fleet_order(end_of_lease_s=1_800_000_100), 1_800_000_300)
    found = Results({"read_lease": LeaseRead(200, 300, 400, 0.0), **results})
    return dict(reply_of_change(Outcome("1", "alice", order, result, "", found, retry_at_s)))


def test_the_reply_to_a_change_says_the_end_that_the_lease_has_then() -> None:
    done = change(inform_machines=MachinesInformed("its machines\ndo not know"))
    assert (done["EndOfLease"], done["OrderedEndOfLease"]) == (300, 1_800_000_100)
    assert done["Warning"] == "its machines do not know"
    failed = change("Failure")
    assert (failed["EndOfLease"], "Warning" in failed) == (200, False)
    refused = change("InvalidRequest")
    assert refused["EndOfLease"] == 200, "whatever the word for its failure"


def test_an_end_that_cannot_be_put_back_yet_is_not_said_to_be_so() -> None:
    assert "EndOfLease" not in change("Failure", retry_at_s=1.0)


def test_warming_up_asks_no_network() -> None:
    preload(Defaults(ec2_url="http://127.0.0.1:9", lambda_url="http://127.0.0.1:9", logs_url="http://127.0.0.1:9"))


def test_the_light_modules_load_no_aws() -> None:
    light = ("request.defaults", "request.faults", "lease.identifiers", "lease.lease")
    modules = ", ".join(f"annexd.annex.{name}" for name in light)
    program = f"import sys, {modules}; assert not {{'botocore', 'boto3', 'sqlite3'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)

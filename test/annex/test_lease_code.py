"""The deployed lease function is compared with lambda/lease.py, and any difference causes a warning."""

import io
import zipfile

from annexd.annex.lease.lease_code import own_code, own_digest
from test.annex.clouds import deployed
from test.annex.fleets import look
from test.annex.site import BYSTANDER, Site, wait_for
from test.lease.loading import CODE

__all__ = ["deployed"]  # a cloud of its own: its function is changed

MESSAGE = "differs from lambda/lease.py of this annexd: update the stack (condor_annex -setup)"


def change(site: Site, files: dict[str, bytes]) -> None:
    """Replace the function's code, as somebody might in the console, and run it once."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    functions = site.cloud.client("lambda", BYSTANDER)
    functions.update_function_code(FunctionName=site.arn, ZipFile=buffer.getvalue())
    site.beat()


def test_our_own_copy_is_the_one_that_the_template_deploys(site: Site) -> None:
    assert own_code() == CODE.read_bytes()
    assert look(site).enforcer.warning == ""
    receipt = look(site).enforcer.receipt
    assert receipt is not None
    assert receipt.digest == own_digest()


def test_a_function_that_was_changed_by_hand_causes_a_warning_until_it_is_restored(site: Site) -> None:
    change(site, {"index.py": CODE.read_bytes() + b"\n"})
    assert look(site).enforcer.warning == f"the lease function {site.arn} {MESSAGE}"
    reply = site.order()
    assert (reply["Result"], MESSAGE in str(reply["Warning"])) == ("Success", True), reply
    change(site, {"index.py": CODE.read_bytes(), "cfnresponse.py": b"# CloudFormation's"})
    wait_for(lambda: look(site).enforcer.warning == "", "the next tick's receipt")
    assert "Warning" not in site.order()


def test_a_function_that_is_gone_is_reported(site: Site) -> None:
    site.cloud.fault("GetFunction", "error", code="ResourceNotFoundException", status=404)
    assert "does not exist, so nothing would end a lease: condor_annex -setup creates it" in look(site).enforcer.fault

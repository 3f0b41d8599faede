"""Run condor_annex -setup with setup.json's rights, or with the caller's own if those are not enough."""

import time

from annexd.account.configuration import KNOBS, OUTPUTS, ConfigurationFile
from annexd.account.errors import AccountError
from annexd.account.template import LOG_GROUP
from annexd.annex.lease.heartbeat import RECEIPT, read
from test.live import names
from test.live.account import Keys, has_default_vpc
from test.live.stage import RehearsalFailed, Stage

MAX_LEASE = "2h"  # the rehearsal's function ends every fleet after this time
RULE = "LeaseRule"  # in the template
MADE = "CREATE_COMPLETE"
LATEST_S = 420.0


def run(stage: Stage) -> None:
    _look_at_vpc(stage)
    _make_roles(stage)
    done = stage.setup_keys is not None and _set_up(stage, stage.setup_keys, "setup-policy")
    if not done:
        stage.setup_keys = None
        if not _set_up(stage, stage.account.keys, None):
            raise RehearsalFailed("-setup failed, with your own rights too: the report has its words")
    section = next(iter(ConfigurationFile(str(stage.host.file)).sections().values()))
    stage.outputs = {OUTPUTS[knob]: section[knob] for knob in KNOBS if knob in OUTPUTS}
    stage.account.note_stack(stage.account.stack(stage.say, 0.0).physical_ids())


def _look_at_vpc(stage: Stage) -> None:
    with stage.looking_at("default-vpc"):
        has = has_default_vpc(stage.account.client("ec2"))
    stage.found("default-vpc", has, "it has one" if has else "it has none, so -setup must report it")


def _make_roles(stage: Stage) -> None:
    try:
        if not stage.account.is_root:
            stage.roles.make()
        stage.setup_keys = stage.roles.keys("setup")
    except AccountError as error:
        for key in ("role-delay", "setup-policy"):
            stage.found(key, None, f"no role could be created or assumed: {error}")
        return
    delay_s = stage.roles.ready_s["setup"]
    stage.found("role-delay", delay_s < stage.pace.roles_s, f"{delay_s:.0f} s")


def _set_up(stage: Stage, keys: Keys, fact: str | None) -> bool:
    """Run -setup, and return whether it worked."""
    begun_s = time.monotonic()
    stage.account.mark_change()
    response = stage.host.annex(
        "-setup",
        "-region",
        stage.account.region,
        "-stack-name",
        names.STACK,
        "-max-lease",
        MAX_LEASE,
        "-output",
        str(stage.host.file),
        aws=stage.account.environment(keys),
    )
    took_s, lines = time.monotonic() - begun_s, response.stderr.strip().splitlines()
    works = response.returncode == 0
    said = f"-setup took {took_s:.0f} s" if works else f"status {response.returncode}: {' | '.join(lines[-6:])}"
    if fact:
        stage.found(fact, works, said)
    if works:
        _look_at_heartbeat(stage)
    return works


def _look_at_heartbeat(stage: Stage) -> None:
    """Read the first receipts as annexd does, and the rule's creation time."""
    pages = (
        stage.account.client("cloudformation").get_paginator("describe_stack_events").paginate(StackName=names.STACK)
    )
    with stage.looking_at("first-heartbeat"):
        made_s = next(
            event["Timestamp"].timestamp()
            for page in pages
            for event in page["StackEvents"]
            if (event["LogicalResourceId"], event["ResourceStatus"]) == (RULE, MADE)
        )
        response = stage.account.watched("logs").filter_log_events(
            logGroupName=LOG_GROUP, filterPattern=RECEIPT, startTime=int((made_s - 60) * 1000)
        )["events"]
        took_s = [receipt.at_s - made_s for each in response if (receipt := read(each["message"])) is not None]
    said = f"{min(took_s):.0f} s after the rule was made" if took_s else "-setup saw it; it is not shown now"
    stage.found("first-heartbeat", min(took_s) < LATEST_S if took_s else None, said)

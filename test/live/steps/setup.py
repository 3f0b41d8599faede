"""condor_annex -setup, with the rights of setup.json; with the caller's own where those are not enough."""

import time

from annexd.account.configuration import KNOBS, OUTPUTS, ConfigurationFile
from annexd.account.errors import AccountError
from test.live import names
from test.live.account import Keys, has_default_vpc
from test.live.stage import RehearsalFailed, Stage

MAX_LEASE = "2h"  # beyond which the rehearsal's function ends every fleet, whatever a tag says
CREATED = "LeaseFunction CREATE_COMPLETE"
BEATS = "the rule calls the lease function"


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
    stage.found("default-vpc", has, "it has one" if has else "it has none, so that -setup has to say so")


def _make_roles(stage: Stage) -> None:
    if stage.account.is_root:
        for key in ("role-delay", "setup-policy"):
            stage.found(key, None, "AWS lets no root user assume a role: use an IAM user, or a role, to rehearse")
        return
    try:
        stage.roles.make()
        stage.setup_keys = stage.roles.keys("setup")
    except AccountError as error:
        for key in ("role-delay", "setup-policy"):
            stage.found(key, None, f"no role could be made or assumed: {error}")
        return
    delay_s = stage.roles.ready_s["setup"]
    stage.found("role-delay", delay_s < stage.pace.roles_s, f"{delay_s:.0f} s")


def _set_up(stage: Stage, keys: Keys, fact: str | None) -> bool:
    """Whether it worked."""
    begun_s = time.monotonic()
    stage.account.mark_change()
    told = stage.host.annex("-setup", "-region", stage.account.region, "-stack-name", names.STACK, "-max-lease",
                            MAX_LEASE, "-output", str(stage.host.file), aws=stage.account.environment(keys))
    took_s, lines = time.monotonic() - begun_s, told.stderr.strip().splitlines()
    works = told.returncode == 0
    said = f"-setup took {took_s:.0f} s" if works else f"status {told.returncode}: {' | '.join(lines[-6:])}"
    if fact:
        stage.found(fact, works, said)
    if works:
        stage.found("first-heartbeat", BEATS in told.stderr, f"{said}, which waits until the rule has called it")
    return works

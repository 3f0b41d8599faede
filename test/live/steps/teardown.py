"""Run condor_annex -teardown once nothing is alive.  The clean-up after it reports anything left behind."""

from annexd.annex.fleet.inventory import take_inventory
from test.live import names
from test.live.account import Keys
from test.live.stage import Stage


def run(stage: Stage) -> None:
    def is_gone() -> bool:
        inventory = take_inventory(stage.account.client("ec2"))
        return not inventory.living() and not inventory.unlisted()

    stage.wait(is_gone, stage.pace.gone_s)
    keys = stage.setup_keys and stage.roles.keys("setup")  # new ones: the first session may be an hour old
    done = stage.host.annex(
        "-teardown",
        "-region",
        stage.account.region,
        "-stack-name",
        names.STACK,
        "-output",
        str(stage.host.file),
        aws=stage.account.environment(keys or stage.account.keys),
    )
    works = done.returncode == 0
    said = f"status {done.returncode}: {' | '.join(done.stderr.strip().splitlines()[-4:])}"
    whose = "setup.json's rights" if isinstance(keys, Keys) else "your own rights"
    stage.found("teardown", works, f"with {whose}" + ("" if works else f", {said}"))

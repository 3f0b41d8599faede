"""A machine that cannot join turns itself off, and -wait shows its console message to the user."""

import json

from annexd.tool import errors
from test.replies import accepted
from test.system.annexes import JoiningSite
from test.system.tool import condor_annex

SAID = "turned themselves off; i-"
WHY = "says on its console: this machine cannot be configured: "
WAITED_S = 150.0


def test_wait_gives_up_on_machines_that_cannot_join_and_quotes_their_console() -> None:
    with JoiningSite("ANNEX_PROVISIONING_DELAY = 20", machines=1, options=("--patience=2",)) as site:
        site.cloud.fault("GetObject", "denied", times=1000)
        annex_id = str(accepted(site.order(TargetCapacity=1, lease_s=3600))["AnnexID"])
        waited = condor_annex(site, "-wait", annex_id, timeout_s=WAITED_S)
        assert waited.returncode == errors.UNREACHABLE, waited.stderr
        assert SAID in waited.stderr
        assert WHY in waited.stderr
        [annex] = json.loads(condor_annex(site, "-status", "-json", annex_id).stdout)
        assert WHY in annex["Trouble"]
        assert WHY in site.log()

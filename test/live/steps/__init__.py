"""The steps of a rehearsal, in order.  Each checks some facts; none leaves anything that clean_up misses."""

from collections.abc import Callable, Mapping
from typing import Final

from test.live.stage import Stage
from test.live.steps import annex, expiry, protection, rights, rules, setup, teardown

ALWAYS: Final = "setup"
STEPS: Final[Mapping[str, Callable[[Stage], None]]] = {
    "setup": setup.run,
    "rights": rights.run,
    "annex": annex.run,
    "ec2-fleet": annex.run_ec2_fleet,
    "short-lease": annex.run_short_lease,
    "expiry": expiry.run,
    "protection": protection.run,
    "rules": rules.run,
    "teardown": teardown.run,
}

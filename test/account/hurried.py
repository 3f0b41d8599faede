"""Run condor_annex on an emulated AWS without other users, with short waits of -setup and -teardown.

    python -m test.account.hurried ARGUMENT...

They wait for what takes time in AWS itself: a new instance profile to spread, orders of others, which a -teardown
outlasts, and ticks that come every five minutes.  Everything else is condor_annex.  `make whole` tries the same with
its own patience.
"""

import sys
from collections.abc import Sequence
from typing import Final

from annexd.tool.main import main

COMMAND: Final = (sys.executable, "-m", "test.account.hurried")
CLOSING_S: Final = 2.0
FRESH_S: Final = 0.0  # the emulated AWS knows an instance profile at once
PAUSE_S: Final = 0.25


def hurry(arguments: Sequence[str]) -> None:
    """Shorten the waits only for these commands: botocore's import takes longer than an order."""
    if {"-setup", "-teardown"} & {*arguments}:
        from annexd.account import enforcer, fresh, stack

        vars(enforcer).update(CLOSING_S=CLOSING_S, PAUSE_S=PAUSE_S)
        vars(fresh).update(FRESH_S=FRESH_S)
        vars(stack).update(LONGEST_PAUSE_S=PAUSE_S)


if __name__ == "__main__":
    hurry(sys.argv[1:])
    main()

"""Run condor_annex on an emulated AWS without other users, with short waits of -setup and -teardown.

    python -m test.account.hurried ARGUMENT...

These waits are for AWS and for other users: until a new instance profile is known everywhere, until the orders of
others that a -teardown must outlast are over, and between ticks, which come every five minutes.  Everything else is
condor_annex.  `make whole` tests the same with the real waits.
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

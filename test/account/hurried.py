"""condor_annex on an emulated AWS that nobody else uses: -setup and -teardown wait no longer than has a reason there.

    python -m test.account.hurried ARGUMENT...

What they wait for is what takes time in AWS itself: the orders of others, which a -teardown outwaits, and ticks that
come every five minutes.  Everything else is condor_annex.  `make whole` tries the same with its own patience.
"""

import sys
from collections.abc import Sequence
from typing import Final

from annexd.tool.main import main

COMMAND: Final = (sys.executable, "-m", "test.account.hurried")
CLOSING_S: Final = 2.0
PAUSE_S: Final = 0.25


def hurry(arguments: Sequence[str]) -> None:
    """Without these commands nothing is changed, nor AWS's library imported, which takes longer than an order."""
    if {"-setup", "-teardown"} & {*arguments}:
        from annexd.account import enforcer, stack

        vars(enforcer).update(CLOSING_S=CLOSING_S, PAUSE_S=PAUSE_S)
        vars(stack).update(LONGEST_PAUSE_S=PAUSE_S)


if __name__ == "__main__":
    hurry(sys.argv[1:])
    main()

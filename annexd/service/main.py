"""condor_annexd."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from annexd.daemoncore.main import main as run_daemon
from annexd.service.program import PROGRAM

if TYPE_CHECKING:
    from annexd.service.annexd import Annexd


def main(arguments: Sequence[str] | None = None) -> int:
    return run_daemon(PROGRAM, _annexd, arguments)


def _annexd() -> "type[Annexd]":
    from annexd.service.annexd import Annexd

    return Annexd


if __name__ == "__main__":
    sys.exit(main())

"""`python -m test.pool`: provide an HTCondor, and print its location."""

import argparse
import os
import sys

from test.pool.htcondor import SUITES, NoHTCondorError, find


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m test.pool", description=__doc__)
    parser.add_argument("--series", choices=sorted(SUITES), default="25")
    parser.add_argument("--debian-only", action="store_true", help="do not look on PATH")
    options = parser.parse_args()
    os.umask(0o022)  # for the user that the pool runs as, when this is root
    try:
        print(find(options.series, on_path=not options.debian_only).sbin.parent)
    except NoHTCondorError as error:
        sys.exit(str(error))


main()

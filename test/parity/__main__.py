"""`make parity`: every question to both daemons.  Fails when answers differ and docs/differences.md does not say so."""

import argparse
import os
import sys
import time
from collections.abc import Iterator

from test.parity.comparison import Result, ask_all
from test.parity.daemon_pair import DaemonPair
from test.parity.matrix import Round, full, full_ipv6, short, short_ipv6


def main() -> None:
    parser = argparse.ArgumentParser(prog="make parity", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="which choices by chance")
    parser.add_argument("--lists", type=int, default=300, help="how many ALLOW and DENY lists by chance")
    parser.add_argument("--short", action="store_true", help="what make test asks")
    parser.add_argument("--series", choices=("25", "23"), help="of HTCondor, instead of HTCONDOR_SERIES")
    options = parser.parse_args()
    if options.series:
        os.environ["HTCONDOR_SERIES"] = options.series
    os.environ |= {"CONDOR_CONFIG": "ONLY_ENV"}
    result, started_s = Result(), time.monotonic()
    for ipv6, rounds in rounds_of(options):
        with DaemonPair(ipv6=ipv6) as pair:
            version = pair.pool.htcondor.version
            print(
                f"asking the schedd of HTCondor {version}, and annexd, by IPv{6 if ipv6 else 4}; seed {options.seed}",
                flush=True,
            )
            ask_all(pair, rounds, result)
    print(*(f"   not found: {row}" for row in sorted(result.not_found)), sep="\n")
    print(f"{result}\n{time.monotonic() - started_s:.0f} s")
    sys.exit(1 if result.unknown else 0)


def rounds_of(options: argparse.Namespace) -> Iterator[tuple[bool, Iterator[Round]]]:
    """By IPv4, and by IPv6."""
    yield False, short(options.seed) if options.short else full(options.seed, options.lists)
    yield True, short_ipv6(options.seed) if options.short else full_ipv6(options.seed, options.lists)


main()

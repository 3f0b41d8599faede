"""Ask both daemons every question (make parity).  Fails for any difference that docs/differences.md does not list."""

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
    parser.add_argument("--seed", type=int, default=1, help="seed of the random choices")
    parser.add_argument("--lists", type=int, default=300, help="number of random ALLOW and DENY lists")
    parser.add_argument("--short", action="store_true", help="ask only what make test asks")
    parser.add_argument("--series", choices=("25", "23"), help="HTCondor series, instead of HTCONDOR_SERIES")
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
    """Yield the rounds for IPv4 and for IPv6, as (ipv6, rounds)."""
    yield False, short(options.seed) if options.short else full(options.seed, options.lists)
    yield True, short_ipv6(options.seed) if options.short else full_ipv6(options.seed, options.lists)


main()

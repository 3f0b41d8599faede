"""`make chaos`: kill processes at random and print the result.  Exits with 1 when the model was violated."""

from __future__ import annotations

import argparse
import sys
import time

from test.chaos.play import Chaos


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m test.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="targets, times, and AWS's faults (default: another each time)")
    parser.add_argument("--kills", type=int, default=300, help="how many (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="and no longer than that")
    return parser.parse_args()


def main() -> int:
    asked = options()
    seed = int(time.time()) % 10_000 if asked.seed is None else asked.seed
    verdict = Chaos(seed, asked.kills, 60 * asked.minutes).play()
    for name, number in verdict.numbers.items():
        print(f"{number:>10}  {name}")
    print("\n".join(verdict.violations) or "the model held")
    print(f"replay: python -m test.chaos --seed {seed} --kills {asked.kills}")
    return bool(verdict.violations)


if __name__ == "__main__":
    sys.exit(main())

"""Fuzz one target after another with atheris, guided by coverage (make fuzz).

    python -m test.fuzz [--seconds 20] [--keep] [TARGET...]

Each target runs in its own process, which stops at the first finding, prints its traceback and leaves its input in
.cache/fuzz.  --keep adds the inputs that reach new code to test/fuzz/corpus, minimized.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from test.fuzz.corpus import MAX_KEPT_BYTES, keep, kept

WORK = Path(__file__).parents[2] / ".cache" / "fuzz"
ENGINE = (sys.executable, "-m", "test.fuzz.engine")
ENVIRONMENT = {**os.environ, "CONDOR_CONFIG": "ONLY_ENV"}  # the bindings read a configuration when imported
TIMEOUT_S = 5
MAX_KEPT = 60  # inputs of one run and target, the smallest
MAX_MEMORY_MB = 1024
MAX_INPUT_BYTES = 70_000  # more than an unauthenticated peer may send


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20, help="for each target")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("targets", nargs="*", help="all, if none is named")
    options = parser.parse_args()
    found = [name for name in options.targets or _names() if not _run(name, options.seconds, keeps=options.keep)]
    print(f"findings in: {', '.join(found)}" if found else "no findings", flush=True)
    return len(found)


def _names() -> list[str]:
    from test.fuzz.targets import TARGETS

    return list(TARGETS)


def _run(name: str, seconds: int, *, keeps: bool) -> bool:
    """Fuzz one target; return whether there were no findings."""
    print(f"--- {name}, {seconds} s", flush=True)
    reached, seeds = WORK / name, _unpacked(name)
    reached.mkdir(parents=True, exist_ok=True)
    bounds = [
        f"-max_total_time={seconds}",
        f"-timeout={TIMEOUT_S}",
        f"-rss_limit_mb={MAX_MEMORY_MB}",
        f"-max_len={MAX_INPUT_BYTES}",
        f"-artifact_prefix={WORK}/finding-{name}-",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    done = subprocess.run([*ENGINE, name, *bounds, str(reached), str(seeds)], check=False, env=ENVIRONMENT)
    if keeps and done.returncode == 0:
        _keep(name, reached, seeds)
    return done.returncode == 0


def _unpacked(name: str) -> Path:
    """Return a directory with the kept inputs, one file each, for the fuzzing engine."""
    seeds = WORK / f"{name}-seeds"
    shutil.rmtree(seeds, ignore_errors=True)
    seeds.mkdir(parents=True)
    for number, received in enumerate(kept(name)):
        (seeds / str(number)).write_bytes(received)
    return seeds


def _keep(name: str, reached: Path, seeds: Path) -> None:
    """Keep a minimal set of the old and new inputs with the same coverage."""
    merged = WORK / f"{name}-merged"
    shutil.rmtree(merged, ignore_errors=True)
    merged.mkdir()
    subprocess.run(
        [*ENGINE, name, "-merge=1", f"-max_len={MAX_KEPT_BYTES}", str(merged), str(seeds), str(reached)],
        check=True,
        capture_output=True,
        env=ENVIRONMENT,
    )
    smallest = sorted(merged.iterdir(), key=lambda file: file.stat().st_size)[:MAX_KEPT]
    keep(name, [file.read_bytes() for file in smallest])


if __name__ == "__main__":
    sys.exit(main())

"""make bench compares, in one run, annexes that both have really made.  How fast, is not asserted: machines differ."""

import subprocess
import sys

from test.bench.contenders import TOP


def test_the_bench_makes_annexes_with_both_tools_and_tells_the_ratios() -> None:
    few = ["--alone", "1", "--rounds", "1", "--annexes", "2", "--at-once", "2"]
    done = subprocess.run([sys.executable, "-m", "test.bench", *few], cwd=TOP, capture_output=True, text=True,
                          timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    for words in ("wall time of one annex alone: ", "annexes per second, several at once: "):
        [ratio] = [line.removeprefix(words).split()[0] for line in lines if line.startswith(words)]
        assert float(ratio) > 0, done.stdout
    for name in ("annexd", "C++"):
        assert any(line.startswith(name) and "ms median" in line for line in lines), done.stdout
        assert any(line.startswith(name) and "annexes/s" in line for line in lines), done.stdout
    assert "The cloud has the 8 fleets that the commands told of, and no other." in lines

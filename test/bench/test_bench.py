"""`make bench` compares, in one run, work that both have really done.  Speed is not asserted, since machines differ."""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

import pytest

from test.bench import orders, rates, soak
from test.bench.contenders import TOP
from test.bench.daemons import Daemon, both, make_pool
from test.bench.load import for_times
from test.bench.wire import Client, Proof, RefusedError
from test.cloud import Cloud
from test.pool import Pool
from test.whole import WHOLE

ROW = re.compile(r"(?P<operation>.+?)  *(?:own port|shared port)  *[0-9]+  *(?P<ours>[0-9]+)  *(?P<peer>[0-9]+) .*")
COMMANDS = 3000
MOST_GROWTH_KB = 1024


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with make_pool(shared_port=True) as pool:
        yield pool


def run(*arguments: str, timeout_s: float = 200) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "test.bench", *arguments],
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_bench_makes_annexes_with_both_tools_and_prints_the_ratios() -> None:
    said = run("annexes", "--alone", "1", "--rounds", "1", "--annexes", "2", "--at-once", "2")
    lines = said.splitlines()
    for message in ("wall time of one annex alone: ", "annexes per second, several at once: "):
        [ratio] = [line.removeprefix(message).split()[0] for line in lines if line.startswith(message)]
        assert float(ratio) > 0, said
    for name in ("annexd", "C++"):
        assert any(line.startswith(name) and "ms median" in line for line in lines), said
        assert any(line.startswith(name) and "annexes/s" in line for line in lines), said
    assert "The cloud has the 8 fleets that the commands reported, and no other." in lines


@WHOLE
@pytest.mark.timeout(900)
def test_the_way_from_the_idle_age_to_an_accepted_order_is_measured_with_confirmation_and_without() -> None:
    said = run("demand-latency", "--latencies", "1", timeout_s=800)
    assert re.search(r"^without confirmation +mean \d+ s", said, re.MULTILINE), said
    assert re.search(r"^confirmed by the negotiators +mean \d+ s", said, re.MULTILINE), said


def test_all_idle_jobs_and_free_slots_are_counted_where_that_is_measured() -> None:
    said = run("demand-jobs", "--idle", "40", "--kinds", "4", "--slots", "20")
    assert said.count("; 4 groups") == 3, said
    assert said.count("; 21 slots of ") == 3, said


def test_every_job_is_in_the_whole_decision_whose_time_is_measured() -> None:
    said = run("demand-decision", "--idle", "40", "--kinds", "4", "--slots", "20", "--offers", "4")
    assert len(re.findall(r"^(cold|warm): +[0-9.]+ s, of these .* 4 groups shown", said, re.MULTILINE)) == 4, said


@pytest.mark.parametrize("operation", rates.OPERATIONS)
def test_both_daemons_do_what_is_measured(pool: Pool, operation: str) -> None:
    row = rates.Comparison(pool, "shared port").row(operation, clients=2, seconds=0.05, turns=1, pings=2)
    match = ROW.fullmatch(str(row))
    assert match, str(row)
    assert match["operation"] == operation
    assert min(rate.operations for rate in (*row.ours, *row.peer)) > 0, str(row)


def test_a_client_of_the_bench_notices_when_it_is_refused(pool: Pool) -> None:
    for daemon in both(pool):
        establish = Client(daemon.command_socket, Proof(forged(pool))).establish
        with pytest.raises(RefusedError):
            for_times(partial(partial, establish), clients=2, times=10)


def forged(pool: Pool) -> str:
    """Return a token signed with a key that the pool does not have."""
    _header, claims, signature = pool.token("somebody").split(".")
    header = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": "NONE"}).encode()).decode().rstrip("=")
    return f"{header}.{claims}.{signature}"


@pytest.mark.parametrize(("api", "most"), orders.APIS.items())
def test_an_order_makes_few_calls_and_two_fewer_when_another_came_before(api: str, most: int) -> None:
    with Cloud(speed=0, behaviour=orders.WITHOUT_INSTANCES) as cloud:
        calls = orders.calls_of(cloud, api)
    assert calls.cold.total() <= most, calls.cold
    assert calls.warm.total() <= most - 2, calls.warm


def test_memory_does_not_grow_with_the_commands(pool: Pool) -> None:
    """The long form is `make bench ARGS=soak`."""
    daemon = Daemon.of(pool, "annexd")
    first_kb = soak.round_of(daemon, COMMANDS, new_sessions=False)
    last_kb = [soak.round_of(daemon, COMMANDS, new_sessions=False) for _ in range(2)][-1]
    assert last_kb - first_kb < MOST_GROWTH_KB, f"from {first_kb} kB to {last_kb} kB in {2 * COMMANDS} commands"


def test_a_journal_of_many_ended_annexes_is_measured_against_an_empty_one() -> None:
    lines = run("growth", "--ended", "300").splitlines()
    for what in ("start, s", "-status, s", "memory, MB"):
        [line] = [line for line in lines if line.startswith(what)]
        assert re.search(r"[0-9.]+ empty +[0-9.]+ full", line), line


def test_comparing_jobs_with_machines_is_measured_cold_and_warm() -> None:
    lines = run("demand", "--kinds", "40", "--offers", "5").splitlines()
    for what in ("cold", "warm", "one changed"):
        [line] = [line for line in lines if line.startswith(what)]
        assert re.search(r"CPU: annexd [0-9.]+ s, worker [0-9.]+ s; the loop was blocked for at most [0-9]+ ms", line)

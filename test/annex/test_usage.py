"""Instance-seconds are right within the stated error, over looks and a restart between them."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from annexd.annex.fleet.capacity_pool import Launch
from annexd.annex.usage import Usage
from annexd.workflow import from_json, to_json

START_S = 1_795_000_000.0
BEGUN = Usage(0.0, int(START_S) + 86_400)
MACHINES = st.lists(st.tuples(st.integers(0, 5000), st.integers(700, 6000)), max_size=12)  # launched after, lives for


def launches(machines: list[tuple[int, int]], at_s: int) -> list[Launch]:
    return [Launch(START_S + launched) for launched, lives in machines if launched <= at_s < launched + lives]


@given(machines=MACHINES, restart=st.integers(0, 20))
def test_instance_seconds_are_right_within_their_error_also_after_a_restart(
    machines: list[tuple[int, int]], restart: int
) -> None:
    machines = list({launched: (launched, lives) for launched, lives in machines}.values())
    looks, usage = range(0, 12_001, 600), BEGUN
    for number, at_s in enumerate(looks):
        if number == restart:
            usage = from_json(Usage, to_json(usage))
        usage = usage.after(launches(machines, at_s), START_S + at_s)
    true_s = sum(lives for _, lives in machines)
    assert usage.running == 0
    assert usage.ended == len(machines)
    assert abs(usage.seconds(START_S + 20_000) - true_s) <= usage.error_s + 1
    assert usage.error_s == 300 * len(machines)


def test_a_running_instance_counts_from_its_launch_until_now_or_the_lease_end() -> None:
    usage = BEGUN.after([Launch(START_S), Launch(START_S + 100)], START_S + 200)
    assert usage.seconds(START_S + 300) == 500
    assert usage.seconds(START_S + 10 * 86_400) == 2 * 86_400 - 100
    assert usage.error_s == 0


def test_an_instance_launched_while_annexd_looked_is_not_counted_as_ended() -> None:
    two = [Launch(START_S), Launch(START_S + 103)]
    usage = BEGUN.after(two, START_S + 100)  # the look began at 100 and saw what came at 103
    again = usage.after(two, START_S + 700)
    assert (again.ended, again.running, again.error_s) == (0, 2, 0)


def test_a_look_that_changes_nothing_is_not_recorded() -> None:
    seen = [BEGUN]
    for at_s in range(600, 3000, 600):
        seen.append(seen[-1].after([Launch(START_S)], START_S + at_s))
    assert seen[0].facts != seen[1].facts
    assert all(one.facts == other.facts for one, other in pairwise(seen[1:]))

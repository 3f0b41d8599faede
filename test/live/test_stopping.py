"""Test that a signal or the time limit stops the steps once, and that nothing stops the clean-up."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from test.live.stopping import SIGNALS, Stopped, Stopping


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_stops_the_steps_and_a_second_one_does_not_stop_what_follows(number: signal.Signals) -> None:
    said: list[str] = []
    Stopping(said.append).arm()
    with pytest.raises(Stopped, match=f"stopped by {number.name}") as stopped:
        os.kill(os.getpid(), number)
    assert stopped.value.status == 128 + number
    os.kill(os.getpid(), signal.SIGINT)
    assert said == ["still ending what was created: wait until nothing is left"]


class Finalized:
    """An object that Python finalizes at the moment of a signal."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it is lost there
def test_a_signal_that_python_loses_stops_the_steps_at_their_next_line_and_nothing_behind_the_shield() -> None:
    stopping = Stopping(print)
    stopping.arm()
    Finalized()
    with pytest.raises(Stopped, match="stopped by SIGINT"):
        stopping.check()
    stopping.shield()
    stopping.check()


def test_steps_that_take_too_long_are_stopped() -> None:
    def steps() -> None:
        Stopping(print).arm(0.05)
        threading.Event().wait(30)

    with pytest.raises(Stopped, match="its time limit was reached"):
        steps()


def test_behind_the_shield_neither_signal_nor_time_stops_anything() -> None:
    said: list[str] = []
    stopping = Stopping(said.append)
    stopping.arm()
    stopping.shield()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    for number in SIGNALS:
        os.kill(os.getpid(), number)
    assert len(said) == len(SIGNALS)


def test_no_edge_of_a_step_takes_the_stop_for_an_error() -> None:
    assert not issubclass(Stopped, Exception)

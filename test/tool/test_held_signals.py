"""Ctrl-C while a response is processed: a command that polls ends before its next request."""

import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest

from annexd.tool.errors import SIGNALS, Interrupted, hold_signals, raise_on_signals


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {signo: signal.getsignal(signo) for signo in SIGNALS}
    yield
    with suppress(Interrupted):
        raise_on_signals()  # no signal stays held for the next test
    for signo, handler in before.items():
        signal.signal(signo, handler)


@pytest.mark.parametrize("signo", SIGNALS)
def test_a_signal_between_two_questions_is_not_lost_and_counts_once(signo: int) -> None:
    raise_on_signals()
    hold_signals()
    signal.raise_signal(signo)
    with pytest.raises(Interrupted) as interrupted:
        raise_on_signals()
    assert interrupted.value.status == SIGNALS[signo]
    raise_on_signals()


@pytest.mark.parametrize("signo", SIGNALS)
def test_a_second_signal_does_not_disturb_the_last_messages(signo: int) -> None:
    raise_on_signals()
    with pytest.raises(Interrupted):
        signal.raise_signal(signo)
    signal.raise_signal(signo)

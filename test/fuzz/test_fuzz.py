"""Test that every input causes only an event, or a peer error that fits into a log line."""

import time
import zlib
from collections.abc import Iterator
from random import Random

import pytest

from test.fuzz import corpus, targets
from test.fuzz.mutation import mutated
from test.fuzz.targets import TARGETS

MUTATE_S = 0.4  # for each target
CPU_S = 2.0  # for one input


@pytest.fixture(autouse=True, scope="module")
def _clean() -> Iterator[None]:
    yield
    targets.forget()


@pytest.mark.parametrize("name", TARGETS)
def test_kept_inputs_raise_no_fault(name: str) -> None:
    inputs = corpus.kept(name) or [b""]
    for received in inputs:
        TARGETS[name](received)


@pytest.mark.parametrize("name", TARGETS)
def test_mutated_inputs_raise_no_fault(name: str) -> None:
    random = Random(zlib.crc32(name.encode()))  # noqa: S311 - to repeat a finding
    inputs = corpus.kept(name) or [b""]
    end_s = time.monotonic() + MUTATE_S
    while time.monotonic() < end_s:
        begun_s = time.thread_time()
        received = mutated(random.choice(inputs), random.choice(inputs), random)
        try:
            TARGETS[name](received)
        except Exception as error:
            raise AssertionError(f"{name} of {received!r}") from error
        assert time.thread_time() - begun_s < CPU_S, f"{name} takes too long for {received!r}"

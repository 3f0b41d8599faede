"""What AWS answered, in public and in rehearsals, is what the emulated AWS answers in the same state."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from test.cloud import Cloud
from test.cloud.comparison import differences, known_paths, listed
from test.cloud.recording import Recording, load

RECORDINGS = dict(load())
ALL = list(RECORDINGS.values())


@pytest.fixture(scope="module")
def account() -> Iterator[Cloud]:
    with Cloud(speed=0, termination_s=3.0, enforce_iam=True) as cloud:
        yield cloud


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_emulated_aws_answers_as_aws_did(account: Cloud, name: str) -> None:
    """The same members of the same types, the same states, codes and words; but for what is listed with a reason."""
    recording: Recording = RECORDINGS[name]
    found = list(differences(account, recording, known_paths(ALL, recording.operation)))
    unlisted = [
        (side, what)
        for side, what in found
        if not any(each.is_about(recording.operation, side, what) for each in listed())
    ]
    assert unlisted == [], f"{recording.operation}, {recording.source or recording.because}"

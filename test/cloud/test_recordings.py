"""The emulated AWS responds as AWS did in the same state, in public sources and in rehearsals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from test.cloud import Cloud
from test.cloud.comparison import Listed, differences, known_paths, listed, unlisted
from test.cloud.recording import NoSuchMemberError, Recording, load
from test.cloud.scenes import kinds

RECORDINGS = dict(load())
ALL = list(RECORDINGS.values())


@pytest.fixture(scope="module")
def account() -> Iterator[Cloud]:
    with Cloud(speed=0, pending_s=2.0, termination_s=10.0, enforce_iam=True) as cloud:
        yield cloud


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_emulated_aws_answers_as_aws_did(account: Cloud, name: str) -> None:
    """Members, types, states, codes and messages are the same, except for the differences listed with a reason."""
    recording = RECORDINGS[name]
    found = differences(account, recording, known_paths(ALL, recording.operation))
    assert unlisted(recording, found) == [], f"{recording.operation}, {recording.source or recording.because}"


@pytest.mark.parametrize("difference", listed(), ids=lambda each: f"{each.operation}-{each.side}")
def test_a_difference_that_is_listed_is_still_there(account: Cloud, difference: Listed) -> None:
    found = [
        difference.is_about(each.operation, side, what)
        for each in ALL
        if each.operation == difference.operation
        for side, what in differences(account, each, known_paths(ALL, each.operation))
    ]
    assert any(found), f"it is gone: delete it from differences.toml ({difference.reason})"


def _fleet(**more: Any) -> Recording:
    [real] = [each for each in ALL if kinds(each) == {"cancelled"}]
    response = json.loads(json.dumps(real.answer))
    response["SpotFleetRequestConfigs"][0] |= more
    return replace(real, answer=response)


@pytest.mark.parametrize(
    ("recording", "difference"),
    [
        (_fleet(ActivityStatus="fulfilled"), ("AWS", "SpotFleetRequestConfigs[].ActivityStatus")),
        (_fleet(SpotFleetRequestId="fleet-1"), ("form", "SpotFleetRequestConfigs[].SpotFleetRequestId")),
        (_fleet(SpotFleetRequestState="failed"), ("scene", "the emulator has no scene for DescribeSpotFleetRequests")),
        (replace(_fleet(), status=503, answer={"Error": {"Code": "x", "Message": "y"}}), ("scene", "the emulator")),
    ],
    ids=["a member", "a form", "a state", "an error"],
)
def test_differences_from_awss_answers_are_found(
    account: Cloud, recording: Recording, difference: tuple[str, str]
) -> None:
    found = list(differences(account, recording, known_paths(ALL, recording.operation)))
    side, what = difference
    assert [each for each in found if each[0] == side and each[1].startswith(what)], found


def test_a_member_that_only_the_emulator_has_is_found(account: Cloud) -> None:
    recording = _fleet()
    known = known_paths([recording], recording.operation)
    del known["SpotFleetRequestConfigs[].CreateTime"]
    response = json.loads(json.dumps(recording.answer))
    del response["SpotFleetRequestConfigs"][0]["CreateTime"]
    found = list(differences(account, replace(recording, answer=response), known))
    assert found == [("emulator", "SpotFleetRequestConfigs[].CreateTime")]


def test_a_recording_that_aws_cannot_have_given_is_refused() -> None:
    with pytest.raises(NoSuchMemberError, match="has no Colour"):
        _fleet(Colour="blue").response()

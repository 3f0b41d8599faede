"""Test how annexd's messages are shown to users."""

import json

import pytest

from annexd.tool.errors import ToolError
from annexd.tool.show import OPTION_OF, OPTION_OF_CHANGE, cancelled, changed, in_options, reply


def test_an_attribute_is_shown_as_its_option() -> None:
    assert in_options("ServiceURL is wrong; S3Bucket is missing") == "-service-url is wrong; -s3-bucket is missing"


def test_an_attribute_that_follows_its_option_stays() -> None:
    message = "-service-url (ServiceURL) is https://x, but annexd lends its keys for its own only"
    assert in_options(message) == message


def test_the_end_of_a_lease_is_the_option_that_was_typed() -> None:
    assert in_options("EndOfLease is early; Now (Now) allows it", OPTION_OF_CHANGE) == (
        "-until is early; -now (Now) allows it"
    )
    assert in_options("EndOfLease is in the past; LogsURL is wrong", OPTION_OF) == (
        "EndOfLease is in the past; -logs-url is wrong"
    )


@pytest.mark.parametrize("end", [2**62, -1, True, "soon"])
def test_an_invalid_end_does_not_hide_the_request_id(capsys: pytest.CaptureFixture[str], end: object) -> None:
    reply({"Result": "Success", "BulkRequestID": "sfr-1", "AnnexID": "a", "EndOfLease": end})
    assert capsys.readouterr() == ("sfr-1\n", "")


def test_in_json_standard_output_is_the_whole_answer_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    answer = {"Result": "Success", "BulkRequestID": "sfr-1", "AnnexID": "a", "EndOfLease": 1_800_000_000}
    for show in (reply, cancelled, lambda ad, as_json: changed(ad, 0.0, as_json=as_json)):
        show(answer, as_json=True)
        assert json.loads(capsys.readouterr().out) == answer


def test_in_json_a_refusal_is_an_answer_too(capsys: pytest.CaptureFixture[str]) -> None:
    answer = {"Result": "InvalidRequest", "ErrorString": "AnnexName is wrong"}
    with pytest.raises(ToolError, match="-annex-name is wrong"):
        reply(answer, as_json=True)
    assert json.loads(capsys.readouterr().out) == answer

"""Test that no identity leaves the machine, and that relations between values are kept."""

from __future__ import annotations

import pytest

from test.live.redaction import ACCOUNT, Redactor

OWN = "210987654321"
ENCODED = "Encoded authorization failure message:"
SECRETS = ("wJalrXUtnFEMI/K7MDENG+bPxRfiCYzzz", "jane", "/home/jane", "lab-7.example.edu")


@pytest.fixture
def redactor() -> Redactor:
    return Redactor(OWN, SECRETS)


@pytest.mark.parametrize(
    ("text", "response"),
    [
        (f"arn:aws:iam::{OWN}:role/X", f"arn:aws:iam::{ACCOUNT}:role/X"),
        ("<ownerId>999988887777</ownerId>", "<ownerId>222233330001</ownerId>"),
        (f"arn:aws:iam::{OWN}:user/team/john", f"arn:aws:iam::{ACCOUNT}:user/redacted-1"),
        (f"{OWN}:assumed-role/Admin/john@example.edu is", f"{ACCOUNT}:assumed-role/redacted-1 is"),
        ("key AKIAQQQQWWWWEEEERRRR.", "key AKIAREDACTED00000001."),
        ("AROAQQQQWWWWEEEERRRR:john", "AROAREDACTED00000001:john"),
        (f"secret {SECRETS[0]}", "secret redacted-name-1"),
        ("i-0abc1234def567890 in vpc-1a2b3c4d", "i-00000000000000001 in vpc-00000002"),
        ("sfr-2a1f6ad4-4b6d-4a52-9d1c-5c0e7f3f1b1a", "sfr-00000000-0000-4000-8000-000000000001"),
        ("10.1.2.3 and ip-10-9-9-9.ec2.internal", "192.0.2.2 and ip-192-0-2-2.ec2.internal"),
        ("from 2600:1f18:abcd::12 at 10:12:34", "from 2001:db8::1:1 at 10:12:34"),
        ("02:42:ac:11:00:02", "02:00:00:00:00:01"),
        (f"{ENCODED} 4GIOHlTk-x_Y.", f"{ENCODED} redacted-message-1."),
        ("s3://htcondorannexlive-bucket-1xk2p9aaqq0zz/annex", "s3://htcondorannexlive-bucket-0000000000001/annex"),
        ("jane@annexd.test, not janet", "redacted-name-1@annexd.test, not janet"),
        ("in /home/jane/.aws", "in redacted-name-1/.aws"),
    ],
)
def test_identities_are_replaced_by_values_of_the_same_format(redactor: Redactor, text: str, response: str) -> None:
    assert redactor.text(text) == response


@pytest.mark.parametrize(
    "text",
    [
        "ami-0e5c4998acc873d00",
        "2026-11-28T10:25:27.000Z",
        "t3.nano",
        "cancelled_running",
        "us-east-1a",
        "1795861516.9",
        "annex-26f80f6ba27d906c62d5_1795861576_5f07f29f43a1f851",
        "htcondor:annex-lease-end",
        "25.14.1",
        "shutdown -h +55",
    ],
)
def test_other_texts_stay(redactor: Redactor, text: str) -> None:
    assert redactor.text(text) == text


def test_a_value_has_the_same_replacement_in_every_text_and_redaction_is_idempotent(redactor: Redactor) -> None:
    first = redactor.text(f"{OWN} i-0abc1234def567890 i-0abc1234def567891 10.1.2.3")
    assert redactor.text("i-0abc1234def567890") == first.split()[1] != first.split()[2]
    assert redactor.text(first) == first


def test_a_text_with_an_identity_is_detected(redactor: Redactor) -> None:
    assert redactor.leaks(redactor.text(f"{OWN} jane {SECRETS[0]}")) == []
    assert redactor.leaks(f"x{OWN}x") == ["account"]
    assert redactor.leaks("by jane.") == ["name"]

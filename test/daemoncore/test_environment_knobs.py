"""annexd never shows AWS keys of its configuration to clients."""

from pathlib import Path

import pytest

from annexd.daemoncore.config.environment_knobs import REDACTED, redacted
from test.programs import logged_with

KEYS = "AWS_ACCESS_KEY_ID=AKIAX AWS_SECRET_ACCESS_KEY=swordfish"


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("ANNEXD_ENVIRONMENT", KEYS, REDACTED),
        ("master_environment", f'"A=1 {KEYS}"', REDACTED),
        ("ANNEXD.ANNEXD_ENVIRONMENT", "aws_session_token=x", REDACTED),
        ("ANNEXD_ENVIRONMENT", f"ANNEXD_ENVIRONMENT = {KEYS}", f"ANNEXD_ENVIRONMENT = {REDACTED}"),
        ("ANNEXD_ENVIRONMENT", f"AWS_SECRET_ACCESS_KEY = {KEYS}", REDACTED),
        ("ANNEXD_ENVIRONMENT", "AWS_SHARED_CREDENTIALS_FILE=/etc/a", "AWS_SHARED_CREDENTIALS_FILE=/etc/a"),
        ("ANNEXD_ENVIRONMENT", "", ""),
        ("OTHER", "AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"),
    ],
)
def test_the_value_of_a_knob_that_holds_keys_is_not_shown(name: str, text: str, shown: str) -> None:
    assert redacted(name, text) == shown


def test_each_knob_that_holds_keys_is_logged_by_name_without_them(tmp_path: Path) -> None:
    config = (
        f"ANNEXD_ENVIRONMENT = {KEYS}\nMASTER_ENVIRONMENT = AWS_SESSION_TOKEN=swordfish\n"
        "SCHEDD_ENVIRONMENT = A=1\nSITE_WORDS = AWS_ACCESS_KEY_ID\n"
    )
    said = logged_with(
        config, "from annexd.daemoncore.config import environment_knobs; environment_knobs.warn()", tmp_path
    )
    warned = [line for line in said.splitlines() if "holds AWS keys" in line]
    assert [line.partition("ERROR: ")[2].split()[0] for line in warned] == ["ANNEXD_ENVIRONMENT", "MASTER_ENVIRONMENT"]
    assert "AWS_SHARED_CREDENTIALS_FILE" in warned[0]
    assert "swordfish" not in said

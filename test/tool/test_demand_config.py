"""-demand-config: the offers it refuses, and the files it replaces.  test/demand starts pools from its output."""

from __future__ import annotations

from pathlib import Path

import pytest

from annexd.tool import demand_config
from annexd.tool.command_line import parse
from annexd.tool.errors import BAD_FILE, USAGE, ToolError

KNOBS = {
    "ANNEX_OFFERS": "small, gpu",
    "ANNEX_OFFER_gpu_JOBS": "(RequestGPUs ?: 0) > 0",
    "ANNEX_OFFER_gpu_IDLE_AGE": "10 * 60",
}


def written(capsys: pytest.CaptureFixture[str], **knobs: str) -> str:
    demand_config.write("", {**KNOBS, **knobs}.get)
    return capsys.readouterr().out


def faults(**knobs: str) -> tuple[str, ...]:
    with pytest.raises(ToolError) as raised:
        demand_config.write("", {**KNOBS, **knobs}.get)
    assert raised.value.status == USAGE
    return raised.value.faults


def test_an_offer_without_a_clause_is_for_all_jobs_that_are_idle_for_five_minutes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = written(capsys)
    assert "NEGOTIATOR_JOB_CONSTRAINT = (true) && time() - EnteredCurrentStatus >= 300\n" in text
    assert "= ((RequestGPUs ?: 0) > 0) && time() - EnteredCurrentStatus >= 600\n" in text


def test_its_two_parts_stand_apart(capsys: pytest.CaptureFixture[str]) -> None:
    manager, _, annexd = written(capsys).partition("#### 2. annexd's host")
    assert "#### 1. The central manager" in manager
    assert "ANNEX_DEMAND = observe\n" in annexd
    assert "NEGOTIATOR" not in annexd
    assert "ANNEX_DEMAND" not in manager


def test_all_faults_of_the_offers_are_named_at_once() -> None:
    found = faults(ANNEX_OFFER_gpu_JOBS="1 +", ANNEX_OFFER_gpu_IDLE_AGE="soon", ANNEX_OFFER_small_JOBS="a $(B)")
    assert [fault.partition(" ")[0] for fault in found] == [
        "ANNEX_OFFER_small_JOBS",
        "ANNEX_OFFER_gpu_JOBS",
        "ANNEX_OFFER_gpu_IDLE_AGE",
    ]


@pytest.mark.parametrize("value", ["-1", "0", "undefined", "true", '"300"', "10 minutes"])
def test_an_idle_age_is_a_duration(value: str) -> None:
    [fault] = faults(ANNEX_OFFER_gpu_IDLE_AGE=value)
    assert fault.startswith("ANNEX_OFFER_gpu_IDLE_AGE must be a number of seconds, or a duration such as 90s")


def test_it_may_have_units(capsys: pytest.CaptureFixture[str]) -> None:
    assert "EnteredCurrentStatus >= 600\n" in written(capsys, ANNEX_OFFER_gpu_IDLE_AGE="10m")


@pytest.mark.parametrize("offers", ["", "small, SMALL", "1st"])
def test_offers_must_have_names(offers: str) -> None:
    assert "ANNEX_OFFERS" in faults(ANNEX_OFFERS=offers)[0]


def test_a_file_of_its_own_is_replaced_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "82annex-demand"
    demand_config.write(str(file), KNOBS.get)
    first = file.read_text()
    demand_config.write(str(file), {**KNOBS, "ANNEX_OFFERS": "small"}.get)
    assert file.read_text() != first
    file.write_text("DAEMON_LIST = MASTER\n")
    with pytest.raises(ToolError, match="is not -demand-config's") as raised:
        demand_config.write(str(file), KNOBS.get)
    assert raised.value.status == BAD_FILE
    assert file.read_text() == "DAEMON_LIST = MASTER\n"
    assert list(tmp_path.iterdir()) == [file]


def test_it_goes_with_no_option_of_an_order() -> None:
    with pytest.raises(ToolError) as raised:
        parse(["-demand-config", "-count", "3"])
    assert raised.value.faults == ("-count cannot be used with -demand-config",)
    assert parse(["-demand-config", "there"]).file == "there"

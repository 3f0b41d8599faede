"""annexd warns of names in the configuration that resemble knobs, and of no others."""

import re
from pathlib import Path

import pytest

from annexd.service import budget_knobs, demand_settings
from annexd.service.misspelled_knobs import GROUPS, KNOBS, OF_HTCONDOR, misspelled
from test.programs import logged_with

IN_USE = {"ANNEX_OFFER_SMALL_": GROUPS["ANNEX_OFFER_"], "ANNEX_BUDGET_PHYSICS_": GROUPS["ANNEX_BUDGET_"]}
DAEMONS = ("MASTER", "ANNEXD", "annexd2", "ANNEXD_EU_WEST_1")


def warned(*names: str) -> dict[str, str]:
    return dict(misspelled(names, DAEMONS, IN_USE))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ANNEX_RECONCILE_INTERVAL", "ANNEXD_RECONCILE_INTERVAL"),
        ("annex_max_leases", "ANNEX_MAX_LEASE"),
        ("ANNEX_MAX_LEASE_TIME", "ANNEX_MAX_LEASE"),
        ("ANNEXD_MAX_LEASE", "ANNEX_MAX_LEASE"),
        ("ANNEX_MAX_TARGET_CAPACTY", "ANNEX_MAX_TARGET_CAPACITY"),
        ("ANNEX_DEFAULT_ACCESS_KEY", "ANNEX_DEFAULT_ACCESS_KEY_FILE"),
        ("ANNEXD.ANNEX_BUDGET", "ANNEX_BUDGETS"),
        ("annexd2.ANNEX_MAX_LEASES", "ANNEX_MAX_LEASE"),
        ("ANNEX_OFFER_small_STRAT", "ANNEX_OFFER_small_START"),
        ("ANNEX_OFFER_small_MAXLEASE", "ANNEX_OFFER_small_MAX_LEASE"),
        ("ANNEX_BUDGET_physics_APPLY", "ANNEX_BUDGET_physics_APPLIES"),
    ],
)
def test_a_name_that_resembles_a_knob_is_warned_of_with_the_knob(name: str, meant: str) -> None:
    assert warned(name) == {name: meant}


@pytest.mark.parametrize(
    "name",
    [
        *sorted(KNOBS | OF_HTCONDOR),
        *(f"ANNEX_OFFER_small_{each}" for each in sorted(GROUPS["ANNEX_OFFER_"])),
        "annex_max_lease",
        "ANNEXD",
        "ANNEXD2",
        "AnnexID",
        "AnnexName",
        "ANNEX_OFFER_small_gpu_START",
        "ANNEX_BUDGET_physics_2027_DOLLARS",
        "ANNEXD2_ARGS",
        "ANNEXD2_ENVIRONMENT",
        "ANNEXD_EU_WEST_1_ARGS",
        "annexd2.ANNEXD_LOG",
        "ANNEX_OFFER_unused_STRAT",
        "ANNEX_SITE",
        "ANNEX_HONEST",
        "MAX_ANNEXD_LOG",
        "HPC_ANNEX_ENABLED",
        "SCHEDD_NAME",
        "ANNEX",
    ],
)
def test_no_other_name_is_warned_of(name: str) -> None:
    assert warned(name) == {}


def test_knobs_of_another_annexd_that_is_not_started_yet_are_its_own() -> None:
    assert warned("ANNEXD_B", "ANNEXD_B_ARGS", "ANNEXD_B_LOG") == {}
    assert warned("ANNEXD_B_LOG") == {"ANNEXD_B_LOG": "ANNEXD_LOG"}


def test_the_knobs_of_offers_and_budgets_are_those_that_are_read() -> None:
    code = Path(demand_settings.__file__).read_text()
    read = set(re.findall(r'_(?:knob|seconds|number|expression)\((?:self\.)?name, "([A-Z_]+)"', code))
    assert GROUPS["ANNEX_OFFER_"] == read | set(demand_settings.OF_A_LAUNCH)
    assert GROUPS["ANNEX_BUDGET_"] == {each.removeprefix("ANNEX_BUDGET_NAME_") for each in budget_knobs.KNOBS}


def test_a_configuration_is_warned_of_in_the_log(tmp_path: Path) -> None:
    config = (
        "DAEMON_LIST = MASTER, ANNEXD, ANNEXD2\nANNEXD2_ARGS = -local-name annexd2\nANNEX_OFFERS = small\n"
        "ANNEX_MAX_LEASES = 3600\nANNEX_OFFER_small_STRAT = true\n"
    )
    said = logged_with(config, "from annexd.service import misspelled_knobs; misspelled_knobs.warn()", tmp_path)
    assert re.findall(r"WARNING: (.*)", said) == [
        "annexd does not read ANNEX_MAX_LEASES; did you mean ANNEX_MAX_LEASE?",
        "annexd does not read ANNEX_OFFER_small_STRAT; did you mean ANNEX_OFFER_small_START?",
    ]

"""The knobs of demand, as HTCondor's own configuration reads them: all faults at once; a bad offer stops no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from test.programs import AS_ANNEXD, said_with

READ = f"""\
import json
from dataclasses import asdict
from annexd.daemoncore.config.parameters import Parameters
from annexd.service.demand_settings import DemandSettings
{AS_ANNEXD}
look_up = Parameters()
settings = DemandSettings.read(look_up)
print(json.dumps({{**asdict(settings), "configuration_faults": look_up.faults}}))
"""
SMALL = {
    "ANNEX_OFFERS": "small",
    "ANNEX_OFFER_small_INSTANCE_TYPE": "m5.large,c5.large",
    "ANNEX_OFFER_small_IMAGE": "ami-0123456789abcdef0",
    "ANNEX_OFFER_small_MAX": "20",
}


def read(knobs: dict[str, str]) -> dict[str, Any]:
    return said_with(knobs, READ)


def test_without_knobs_demand_is_off() -> None:
    found = read({})
    assert (found["mode"], found["offers"], found["configuration_faults"]) == ("off", [], [])
    assert found["owner"] == "condor@example.org"


def test_an_offer_has_the_defaults_of_the_manual() -> None:
    [offer] = read(SMALL)["offers"]
    assert [each["InstanceType"] for each in offer["config"]["LaunchSpecifications"]] == ["m5.large", "c5.large"]
    assert {name: offer[name] for name in ("start", "jobs", "lease_s", "max_machines", "step", "idle_age_s")} == {
        "start": "true", "jobs": "true", "lease_s": 14400, "max_machines": 20, "step": 50, "idle_age_s": 300,
    }  # fmt: skip
    assert (offer["idle_s"], offer["on_demand"]) == (600, False)
    assert offer["max_lease_s"] == 14400, "the lease is the promise: nothing is extended unasked"


def test_durations_are_read_as_people_write_them() -> None:
    own = {"LEASE": "1h30m", "IDLE_AGE": "2 * 60", "MAX_LEASE": "12h"}
    [offer] = read({**SMALL, **{f"ANNEX_OFFER_small_{name}": value for name, value in own.items()}})["offers"]
    assert (offer["lease_s"], offer["idle_age_s"], offer["max_lease_s"]) == (5400, 120, 43200)


def test_a_longest_lease_that_is_shorter_than_the_lease_is_a_fault() -> None:
    found = read({**SMALL, "ANNEX_OFFER_small_MAX_LEASE": "1h"})
    assert found["faults"] == {
        "small": "ANNEX_OFFER_small_MAX_LEASE is 1h, and shorter than ANNEX_OFFER_small_LEASE (4h)"
    }


def test_all_faults_of_the_knobs_of_all_demand_are_named_at_once() -> None:
    knobs = {**SMALL, "ANNEX_DEMAND": "yes", "ANNEX_DEMAND_CONFIRM": "ghost", "ANNEX_OFFERS": "small 7up SMALL"}
    faults = "\n".join(read(knobs)["configuration_faults"])
    for word in (
        "ANNEX_DEMAND must be off, observe or enforce, not yes",
        "ANNEX_DEMAND_CONFIRM must be ghosts or none, not ghost",
        "7up",
        "SMALL is in ANNEX_OFFERS twice",
    ):
        assert word in faults, faults


def test_an_offer_with_faulty_knobs_has_all_of_them_named_and_the_others_go_on() -> None:
    wrong = {"START": "TARGET.Cpus >", "MARKET": "black", "STEP": "0", "LEASE": "soon", "INSTANCE_TYPE": "m5-large!"}
    knobs = {f"ANNEX_OFFER_gpu_{name}": value for name, value in wrong.items()}
    found = read({**SMALL, **knobs, "ANNEX_OFFERS": "small gpu"})
    assert found["configuration_faults"] == []
    assert [each["name"] for each in found["offers"]] == ["small"]
    assert found["faults"].keys() == {"gpu"}
    for name in (*wrong, "IMAGE", "MAX"):
        assert f"ANNEX_OFFER_gpu_{name} " in found["faults"]["gpu"]


def test_an_offer_whose_order_cannot_be_used_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    order = tmp_path / "order.json"
    order.write_text('{"LaunchSpecifications": [{"WeightedCapacity": 4}]}')
    (tmp_path / "broken.json").write_text("{")
    others = {
        "weights": {"REQUEST": str(order)},
        "broken": {"REQUEST": str(tmp_path / "broken.json")},
        "missing": {"REQUEST": str(tmp_path / "missing.json")},
        "both": {"REQUEST": str(order), "INSTANCE_TYPE": "m5.large"},
        "nothing": {},
        "typo": {"INSTANCE_TYPE": "m5-large!"},
        "blank": {"INSTANCE_TYPE": "m5.large"},
    }
    knobs = {f"ANNEX_OFFER_{name}_{knob}": value for name, own in others.items() for knob, value in own.items()}
    most = {f"ANNEX_OFFER_{name}_MAX": "1" for name in others}
    found = read({**SMALL, **knobs, **most, "ANNEX_OFFERS": " ".join(["small", *others])})
    assert [each["name"] for each in found["offers"]] == ["small"]
    assert not found["configuration_faults"]
    words = {
        "weights": "WeightedCapacity",
        "broken": "not JSON",
        "missing": "No such file",
        "both": "excludes",
        "nothing": "must say what to order",
        "typo": "ANNEX_OFFER_typo_INSTANCE_TYPE",
        "blank": "ANNEX_DEFAULT_IMAGE",
    }
    assert found["faults"].keys() == words.keys()
    assert all(word in found["faults"][name] for name, word in words.items()), found["faults"]


def test_an_expression_never_becomes_more_than_one_line_of_a_machines_configuration() -> None:
    found = read({**SMALL, "ANNEX_OFFER_small_START": 'strcat("$(DOLLAR)(FOO)") == "x"'})
    assert "ANNEX_OFFER_small_START" in found["faults"]["small"]

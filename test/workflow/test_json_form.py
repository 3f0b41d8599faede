"""Values in the journal are read back exactly as they were, or not at all."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from annexd.workflow import Engine, Journal, Kind, Unreadable, from_json, to_json
from test.workflow.store import FLEET, LEASE, OWNER, Store, Thing, engine


@dataclass(frozen=True)
class Inner:
    name: str
    moments_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class Whole:
    number: int
    is_set: bool
    inner: Inner | None
    several: tuple[Inner, ...]
    by_name: Mapping[str, Inner]
    config: Mapping[str, Any]


WHOLE = Whole(
    5, True, Inner("a", (1.0, 2.5)), (Inner("b"), Inner("c")), {"d": Inner("e")}, {"Weights": [1, {"Half": 0.5}]}
)


def test_a_record_is_read_back_as_it_was_written() -> None:
    assert from_json(Whole, to_json(WHOLE)) == WHOLE
    assert from_json(Whole, to_json(replace(WHOLE, inner=None))).inner is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"number": "5"}, "number is str, not an integer"),
        ({"number": True}, "number is bool, not an integer"),
        ({"number": 5.0}, "number is float, not an integer"),
        ({"is_set": 1}, "is_set is int, not true or false"),
        ({"inner": []}, "inner is list, not an object"),
        ({"inner": {"name": "a"}}, "inner.moments_s is missing"),
        ({"inner": {"name": "a", "moments_s": [1, "2"]}}, r"inner.moments_s\[1\] is str, not a number"),
        ({"several": {}}, "several is dict, not an array"),
        ({"by_name": {"d": {"nom": "e", "moments_s": []}}}, "by_name.d.name is missing"),
        ({"unheard_of": 1}, "unheard_of is unknown"),
    ],
)
def test_a_field_that_is_missing_unknown_or_of_another_type_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(Unreadable, match=message):
        from_json(Whole, {**to_json(WHOLE), **changes})


@dataclass(frozen=True)
class Formless:
    either: int | str


def test_a_type_without_one_json_form_is_refused_before_anything_is_written() -> None:
    with pytest.raises(TypeError, match="has a JSON form"):
        from_json(Formless, {"either": 1})


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (("", Kind.ACCEPTED, {"owner": OWNER, "workflow": "", "order": {"thyng": "x"}}), "padding is missing"),
        ((LEASE, Kind.INTENT, {"thing": 5, "after": [], "padding": ""}), "thing is int, not a string"),
        ((FLEET, Kind.DONE, {"padding": ""}), "things is missing"),
    ],
)  # fmt: skip
def test_a_record_with_a_wrong_field_stops_its_own_order_only_and_names_the_field(
    journal: Journal, store: Store, record: tuple[str, Kind, dict[str, Any]], message: str
) -> None:
    one: Engine = engine(journal, store)
    if record[1] is not Kind.ACCEPTED:
        one.accept("broken", OWNER, Thing("x"))
    journal.append("broken", *record)
    one.accept("1", OWNER, Thing("annex"))
    outcome = one.run("broken")
    assert f"({record[1]}) cannot be read: {message}" in outcome.error
    assert outcome.retry_at_s is not None, "it is tried again after an update"
    assert one.run("1").result == "Success"
    assert one.counts().stuck == 1

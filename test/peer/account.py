"""An account in virtual time with annexd, the lease function, and fleets that the tests put there by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from annexd.annex.lease import function_input
from annexd.annex.reply import ReplyAd
from test.cloud.fleets import Fleet
from test.cloud.orders import fleet_config, specification
from test.histories.faults import ANNEXD, ONCE
from test.histories.history import Course, Stage


class Account:
    """`with Account(folder) as account:`; annexd runs in it."""

    def __init__(self, home: Path) -> None:
        self.stage = Stage(Course("by hand"), lambda _: None, home)
        self._until = ExitStack()

    def __enter__(self) -> Account:
        self._until.enter_context(self.stage.function.deployed())
        self._until.callback(self.stage.annexd.close)
        self.stage.annexd.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._until.close()

    def order(self, command_id: str, **changes: Any) -> ReplyAd:
        """One order to annexd; its answer."""
        answers: list[ReplyAd] = []
        now_s = int(self.stage.timeline.now_s)
        ad = self.stage.ad(command_id, now_s + 900) | changes
        self.stage.ads[command_id] = ad
        self.stage.annexd.order(ad, answers.append)
        [answer] = answers
        return answer

    def fleet(self, token: str | None) -> Fleet:
        spec = specification()
        config: Mapping[str, Any] = fleet_config(1, LaunchSpecifications=[spec], Type="request")
        return self.stage.cloud.fleets.request(config if token is None else {**config, "ClientToken": token}, [spec])

    def lose_then_deny(self, operation: str) -> None:
        """The first answer to annexd's call is lost, all others are a no."""
        faults = chain([ONCE["answer lost after the effect"]], repeat(ONCE["denied"]))
        self.stage.cloud.spoils = lambda actor, asked: next(faults) if (actor, asked) == (ANNEXD, operation) else None

    def end_lease(self, annex_id: str) -> dict[str, Any]:
        """The lease function is called for this annex, whose lease is over; its receipt."""
        function = self.stage.function
        function.invoke(function_input(annex_id, int(self.stage.timeline.now_s) - 1), 0)
        assert not function.broken
        receipt: dict[str, Any] = json.loads(function.receipts[-1])
        return receipt

    def rules(self) -> dict[str, dict[str, Any]]:
        """What each rule tells the lease function."""
        rules = self.stage.cloud.events.rules.values()
        return {rule.name: json.loads(each["Input"]) for rule in rules for each in rule.targets.values()}

    def state(self, fleet: Fleet) -> str:
        return fleet.state(self.stage.timeline.now_s)

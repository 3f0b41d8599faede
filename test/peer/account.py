"""An account in virtual time with annexd, the lease function, and fleets that the tests create by hand."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from annexd.annex.reply import ReplyAd
from test.cloud.fleets import Fleet
from test.cloud.orders import fleet_config, specification
from test.histories.courses import Course
from test.histories.faults import ANNEXD, ONCE
from test.histories.history import Stage


class Account:
    """`with Account(folder) as account:`; annexd runs in it, and the rule calls the function every five minutes."""

    def __init__(self, home: Path) -> None:
        self.stage = Stage(Course("by hand"), lambda _: None, home)
        self._until = ExitStack()

    def __enter__(self) -> Account:
        self._until.callback(self.stage.annexd.close)
        self.stage.cloud.begin()
        self.stage.annexd.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._until.close()

    def order(self, command_id: str, **changes: Any) -> ReplyAd:
        """Send one order to annexd; return its reply."""
        answers: list[ReplyAd] = []
        ad = self.stage.ad(command_id, int(self.stage.timeline.now_s) + 900) | changes
        self.stage.ads[command_id] = ad
        self.stage.annexd.order(ad, answers.append)
        [answer] = answers
        return answer

    def annex(self, name: str, ends_in_s: float) -> Fleet:
        """Create a fleet with the token of an annex of this name."""
        return self.fleet(f"{name}_{self.stage.timeline.now_s + ends_in_s:.0f}_0123456789abcdef")

    def fleet(self, token: str | None) -> Fleet:
        spec = specification()
        config: Mapping[str, Any] = fleet_config(1, LaunchSpecifications=[spec], Type="request")
        return self.stage.cloud.fleets.request(config if token is None else {**config, "ClientToken": token}, [spec])

    def lose_then_deny(self, operation: str) -> None:
        """Lose the first response to annexd's call of `operation`, and deny all further calls."""
        faults = chain([ONCE["answer lost after the effect"]], repeat(ONCE["denied"]))
        self.stage.cloud.spoils = lambda actor, asked: next(faults) if (actor, asked) == (ANNEXD, operation) else None

    def wait(self, seconds: float) -> None:
        self.stage.timeline.sleep(seconds)
        assert not self.stage.function.broken

    def states(self, *fleets: Fleet) -> list[str]:
        return [fleet.state(self.stage.timeline.now_s) for fleet in fleets]

    def living(self) -> list[Fleet]:
        return [fleet for fleet in self.stage.cloud.fleets.fleets.values() if self.states(fleet) != ["cancelled"]]

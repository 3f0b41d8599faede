"""What must be true of annexes, said as simply as it can be, and checked after every event.

An annex is a set of instances, a deadline, and a lease that is armed or not.  The model looks at the cloud's
own record only, never at what annexd or the lease function say of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from test.cloud.fleets import Fleet
from test.cloud.meter import annex_of
from test.histories.cloud import TICK_S, Cloud
from test.histories.services import FUNCTION_ARN

REACTION_S = 60.0  # the lease function's own: it looks again until all is gone


@dataclass
class Annex:
    """What one order was promised; a cancellation that is called done brings its deadline forward."""

    annex_id: str
    deadline_s: float
    command_id: str
    finished: str = ""  # the result, once it is in the journal
    cancels: dict[str, str] = field(default_factory=dict)  # what became of them, by command ID

    @property
    def is_to_last(self) -> bool:
        """It is there, and nobody wants it gone before its deadline."""
        return self.finished == "Success" and not self.cancels


@dataclass
class Model:
    """`violations` are sentences; none is the theorem."""

    cloud: Cloud
    deleted_by_hand: set[str]  # rules: their instances may be alive without them, and must end all the same
    excuse_s: float = 0.0
    annexes: dict[str, Annex] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    def expect(self, annex: Annex) -> None:
        self.annexes[annex.annex_id] = annex

    # After every event.

    def observe(self) -> None:
        """Whatever runs, or may still be launched, has an armed lease; and one order has one fleet at most."""
        now_s = self.cloud.fleets.settle()
        fleets_of: dict[str, int] = {}
        for fleet in self.cloud.fleets.fleets.values():
            annex = self.annexes.get(annex_of(fleet) or "")
            if annex is None:
                continue
            fleets_of[annex.annex_id] = fleets_of.get(annex.annex_id, 0) + 1
            if is_alive(fleet, now_s) and not self.is_armed(annex) and annex.annex_id not in self.deleted_by_hand:
                self._violated(f"{fleet.fleet_id} of {annex.annex_id} is alive without an armed lease")
        for annex_id, count in fleets_of.items():
            if count > 1:
                self._violated(f"{annex_id} has {count} fleets")

    def is_armed(self, annex: Annex) -> bool:
        rule = self.cloud.events.rules.get(annex.annex_id)
        if rule is None or not rule.enabled or rule.schedule != "rate(5 minutes)":
            return False
        return any(
            target["Arn"] == FUNCTION_ARN
            and json.loads(target["Input"])["AnnexID"] == annex.annex_id
            and self._is_right_end(annex, json.loads(target["Input"])["LeaseExpiration"])
            and json.loads(target["Input"])["ConfigKey"] == f"annex/{annex.annex_id}.tar.gz"
            for target in rule.targets.values()
        )

    def _is_right_end(self, annex: Annex, end_s: float) -> bool:
        """Never later than promised, and earlier only since somebody cancelled it."""
        return end_s <= annex.deadline_s if annex.cancels else end_s == annex.deadline_s

    def has_object(self, annex: Annex) -> bool:
        return f"annex/{annex.annex_id}.tar.gz" in self.cloud.objects.contents

    def finished(self, annex: Annex, result: str) -> None:
        """What the answer says is so at the moment when it is given."""
        annex.finished = result
        now_s = self.cloud.fleets.settle()
        fleets = [fleet for fleet in self.cloud.fleets.fleets.values() if annex_of(fleet) == annex.annex_id]
        if result == "Success" and not fleets:
            self._violated(f"{annex.annex_id} was called a success and has no fleet")
        if result != "Success" and any(is_alive(fleet, now_s) for fleet in fleets):
            self._violated(f"{annex.annex_id} was called undone and something of it is alive")
        if result != "Success" and annex.annex_id in self.cloud.events.rules:
            self._violated(f"{annex.annex_id} was called undone and its rule is there")
        if result != "Success" and self.has_object(annex):
            self._violated(f"{annex.annex_id} was called undone and its token is there to be read")
        if result == "Success" and now_s < annex.deadline_s and not self.has_object(annex):
            self._violated(f"{annex.annex_id} was called a success and its instances cannot join")

    def cancelled(self, annex: Annex, command_id: str, result: str) -> None:
        """What is called cancelled ends from then on, or is gone."""
        annex.cancels[command_id] = result
        if result == "Success":
            annex.deadline_s = min(annex.deadline_s, self.cloud.timeline.now_s)
            self.observe()

    # At the end.

    def conclude(self, *, daemon_gone: bool, journal_lost: bool, function_failed: bool, reconciled: bool) -> None:
        """After the lease, a tick and the termination nothing runs; and of what is over nothing is left.

        A rule without a target costs nothing and calls nobody.  Only two may leave one behind: a daemon that
        is gone (or may not work) for good between rule and target, and a lease function that AWS lets
        remove the target, and then not the rule, for longer than Lambda tries.  And not even they, where an annexd
        lives that looks at the account.
        """
        now_s = self.cloud.fleets.settle()
        for fleet in self.cloud.fleets.fleets.values():
            annex = self.annexes.get(annex_of(fleet) or "")
            if annex is not None and not (function_failed and annex.annex_id in self.deleted_by_hand):
                self._check_end(fleet, annex, now_s)
        for annex in self.annexes.values():
            if "" in annex.cancels.values() and not (daemon_gone or journal_lost):
                self._violated(f"the cancellation of {annex.annex_id} never came to its end")
            if self.has_object(annex) and not (annex.annex_id in self.deleted_by_hand and self.excuse_s):
                self._violated(f"the token of {annex.annex_id} is left behind")
            bare = function_failed or (daemon_gone and not annex.finished)
            self._check_leftovers(annex, bare=bare and (daemon_gone or not reconciled))

    def _check_end(self, fleet: Fleet, annex: Annex, now_s: float) -> None:
        if is_alive(fleet, now_s):
            self._violated(f"{fleet.fleet_id} of {annex.annex_id} is alive at the end of the history")
        bound_s = annex.deadline_s + TICK_S + REACTION_S + self.cloud.fleets.timing.termination_s + self.excuse_s
        for instance in fleet.instances:
            gone_at_s = instance.gone_at_s()
            if gone_at_s is not None and gone_at_s > bound_s:
                late_s = gone_at_s - annex.deadline_s
                self._violated(f"{instance.instance_id} of {annex.annex_id} ended {late_s:.0f} s after its lease")
            if gone_at_s is not None and gone_at_s < annex.deadline_s and annex.is_to_last:
                self._violated(f"{instance.instance_id} of {annex.annex_id} ended before its lease")

    def _check_leftovers(self, annex: Annex, *, bare: bool) -> None:
        rule = self.cloud.events.rules.get(annex.annex_id)
        if rule is None:
            return
        if rule.targets:
            self._violated(f"the lease of {annex.annex_id} is left behind")
        elif not bare:
            self._violated(f"a bare rule of {annex.annex_id} is left behind")

    def _violated(self, words: str) -> None:
        if words not in self.violations:
            self.violations.append(words)
            self.cloud.points.tell(f"VIOLATION: {words}")


def is_alive(fleet: Fleet, now_s: float) -> bool:
    """Something of it runs, or it may still launch something."""
    may_launch = fleet.cancelled_at_s is None and now_s < fleet.valid_until_s
    return may_launch or any(not instance.is_gone(now_s) for instance in fleet.instances)

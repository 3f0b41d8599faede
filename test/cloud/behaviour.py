"""The AWS behaviour that is undocumented, or differs between accounts and days: a test may choose it.

`Cloud(behaviour={"second_cancel": "refused"})` chooses for one emulated cloud, `cloud.behave(second_cancel=...)` from
now on; `cloud.reset()` returns to the behaviour that the cloud was started with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from test.cloud.fleet_troubles import TROUBLES

CONTROL_POLICY_WORDS = ("named", "arn", "encoded")
SECOND_CANCELS = ("acted-upon", "refused", "no-effect")
UNKNOWN_FLEETS = ("refused", "empty")
DELETE_RIGHTS = ("instances", "all")
CAPACITY_WORDS = ("no-spot-capacity", "zone", "blacklisted")
FLEET_EVENTS = ("as-documented", "as-modelled")
PASSED_AS = ("ec2", "spotfleet", "both")
KNOWN_QUOTAS = ("all", "changed")
FLEET_TAGGING = ("everything", "the-fleet")
CHOICES = {
    "second_cancel": SECOND_CANCELS,
    "unknown_fleet": UNKNOWN_FLEETS,
    "delete_right": DELETE_RIGHTS,
    "fleet_events": FLEET_EVENTS,
    "capacity_words": CAPACITY_WORDS,
    "passed_as": PASSED_AS,
    "fleet_tagging": FLEET_TAGGING,
    "known_quotas": KNOWN_QUOTAS,
    "control_policy_words": CONTROL_POLICY_WORDS,
}
LISTED_S = 48 * 3600.0


@dataclass(frozen=True)
class Behaviour:
    """The defaults are AWS on a good day; of two variants that the evidence leaves open, the harder one.

    test/cloud/evidence.toml has the evidence for each field, and the tests of its variants.

    second_cancel   what a cancellation with termination does to a fleet in `cancelled_running`.  SUSPECTED: no text of
                    AWS says.  acted-upon: github.com/getmoto/moto/issues/4715; refused, with
                    fleetRequestNotInCancellableState: github.com/nathants/libaws; no-effect: a success after which the
                    fleet stays as it is, which HTCondor's sfr-lease.js ("always succeeds. *sigh*") does not exclude
    ec2_limits      the speed of EC2's published request limits (test.cloud.buckets), as a multiple of theirs: 1 in real
                    time, 60 where rules fire sixty times as fast, 0 without limits.  Bursts are the same at any speed
    tags_late_s     how long the old value of a tag is shown after CreateTags or DeleteTags.  CERTAIN: EC2's API is
                    eventually consistent; no number is promised
    console_late_s  how long after an instance's end GetConsoleOutput has its console.  CERTAIN: some minutes, "posted
                    shortly after an instance transition state" (EC2 API reference); until then it is empty
    logs_late_s     how long after its time FilterLogEvents begins to show an event.  LIKELY: a second or so
    empty_log_pages the number of empty pages that FilterLogEvents returns before each page with events.  CERTAIN: its
                    documentation says that empty pages with a nextToken occur
    log_page        the most events in a page (1 to 10,000), whatever the call's `limit`.  CERTAIN: pages "might only be
                    partially full"
    known_quotas    the quotas that GetServiceQuota knows: all, or those that were changed for this account.  CERTAIN
                    that both occur: Service Quotas API reference, ListServiceQuotas and GetServiceQuota
    update_s        how long a changed function's LastUpdateStatus is InProgress.  CERTAIN that it is; LIKELY a few
                    seconds.  Meanwhile AWS runs the old function; the emulator runs the new one at once
    fleet_trouble   the trouble that keeps fleets requested from now on from starting instances: one of
                    test.cloud.fleet_troubles.TROUBLES, which has the evidence
    capacity_words  how a fleet's history says that a pool has no capacity: test.cloud.fleet_troubles.refused
    capacity_retry_s  how long a fleet avoids a pool that had no capacity.  CERTAIN: "at least 13 minutes", recorded
    ec2_fleets_ask_elsewhere  whether an EC2 Fleet of type request tries other pools in place of one without capacity.
                    SUSPECTED not: the user guide says no, CreateFleet's own page yes
    interruptions_are_timed  whether an interrupted instance's StateTransitionReason has the time, or AWS's code alone.
                    SUSPECTED: both were seen
    history_late_s  how long after its time a fleet's event is shown.  CERTAIN: "delayed by up to 30 seconds before they
                    can be described", EC2's API reference, DescribeSpotFleetRequestHistory
    roles_late_s    how long a new role is unknown to Spot Fleet, which first refuses it in one way and then in another.
                    CERTAIN that it is, Terraform waits two minutes: test.cloud.propagation
    profiles_late_s the same for an instance profile
    buckets_late_s  how long after its creation a bucket is unknown to PutObject and DeleteObject.  CERTAIN; the same
    forbidden       the actions that a service control policy of the account's organization denies to everybody in it,
                    such as "ec2:RequestSpotFleet"; control_policy_words: how EC2 says so: test.cloud.organization
    concurrency     the number of functions that run at once in a region: 1,000, or 10 in a new account.  CERTAIN
    whole_instances whether DescribeInstances also shows the members that annexd never reads, which makes its responses
                    ten times as long.  CERTAIN that AWS does
    passed_as       the service that the roles in a RequestSpotFleet must be passable as.  LIKELY ec2
    fleet_tagging   the resource on which tagging a requested fleet needs CreateTags.  SUSPECTED: the user guide says
                    "*", others name the fleets
    dry_run_looks_at_all  whether a DryRun also checks the rights that a call needs besides its own.  UNKNOWN
    cancel_ends_protected  whether the cancellation of a fleet ends On-Demand instances with termination protection.
                    UNKNOWN
    on_demand_is_tagged  whether On-Demand instances of a fleet have its reserved tag.  LIKELY
    expiry_late_s   how long a fleet stays active after its ValidUntil.  UNKNOWN
    history_newest_first  the order of a fleet's history.  LIKELY the oldest first
    null_version_is_the_object  whether the version "null" of an object needs s3:DeleteObject besides
                    s3:DeleteObjectVersion.  UNKNOWN
    shows_empty_lists  whether CancelSpotFleetRequests shows a list that is empty.  LIKELY
    unknown_fleet   the response of DescribeFleets to the ID of a fleet that AWS has forgotten: refused, or an empty
                    list.  LIKELY refused
    delete_right    the resources on which DeleteFleets with termination needs ec2:TerminateInstances: each instance, or
                    everything.  UNKNOWN; CERTAIN that it needs it
    fleet_events    the names of event types in an EC2 Fleet's history: those of the documentation's examples, or those
                    of the API's model.  SUSPECTED the examples'
    listed_s        how long after its end a fleet is listed.  LIKELY two days
    modify_s        how long a fleet is `modifying` during a change.  CERTAIN that it is
    templates_late_s  how long a new launch template is unknown to all calls except its creation.  LIKELY it may be
    """

    second_cancel: str = "acted-upon"
    ec2_limits: float = 0.0
    tags_late_s: float = 0.0
    console_late_s: float = 1.0
    logs_late_s: float = 1.0
    empty_log_pages: int = 0
    log_page: int = 10_000
    update_s: float = 0.2
    fleet_trouble: str = ""
    capacity_words: str = "no-spot-capacity"
    capacity_retry_s: float = 780.0
    ec2_fleets_ask_elsewhere: bool = False
    interruptions_are_timed: bool = True
    history_late_s: float = 0.0
    roles_late_s: float = 0.0
    profiles_late_s: float = 0.0
    buckets_late_s: float = 0.0
    concurrency: int = 1000
    unknown_fleet: str = "refused"
    delete_right: str = "instances"
    fleet_events: str = "as-documented"
    listed_s: float = LISTED_S
    modify_s: float = 0.0
    templates_late_s: float = 0.0
    whole_instances: bool = False
    passed_as: str = "both"
    fleet_tagging: str = "everything"
    dry_run_looks_at_all: bool = True
    cancel_ends_protected: bool = False
    on_demand_is_tagged: bool = True
    expiry_late_s: float = 0.0
    history_newest_first: bool = False
    null_version_is_the_object: bool = True
    shows_empty_lists: bool = True
    forbidden: tuple[str, ...] = ()
    control_policy_words: str = "named"
    known_quotas: str = "all"

    def __post_init__(self) -> None:
        for name, variants in CHOICES.items():
            if getattr(self, name) not in variants:
                raise ValueError(f"{name} is one of {variants}, not {getattr(self, name)!r}")
        if self.fleet_trouble not in TROUBLES:
            raise ValueError(f"fleet_trouble is one of {sorted(TROUBLES)}, not {self.fleet_trouble!r}")
        if not 1 <= self.log_page <= 10_000:
            raise ValueError(f"log_page is 1 to 10,000, not {self.log_page}")


class Chosen:
    """The behaviour in force at this moment."""

    def __init__(self, first: Behaviour) -> None:
        self._first = self.now = first

    def change(self, asked: Mapping[str, Any]) -> None:
        """Change some fields.  Raises TypeError for an unknown field, ValueError for an invalid value."""
        self.now = replace(self.now, **asked)

    def reset(self) -> None:
        self.now = self._first

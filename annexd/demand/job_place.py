"""Find the group of idle jobs that counts a job, or why no group does yet.

`condor_annex -why` applies it to the job's ad.  The rules are those of `idle_jobs.constraint`, which a schedd applies.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from annexd.demand.idle_jobs import IDLE, MAX_AD_CHARACTERS, NO_AUTOCLUSTER, UNIVERSES, key_of

HELD: Final = 5  # JobStatus (proc.h)
STATES: Final = {
    2: "runs",
    3: "was removed",
    4: "has completed",
    5: "is held",
    6: "transfers its output",
    7: "is suspended",
}
OF_A_JOB: Final = (  # attributes to query from a schedd
    "AccountingGroup",
    "AutoClusterId",
    "EnteredCurrentStatus",
    "HoldReason",
    "JobStatus",
    "JobUniverse",
    "ServerTime",
    "Requirements",
    "User",
)


@dataclass(frozen=True)
class JobPlace:
    """`group` is the key of its IdleGroup, or the prefix of several keys; None: `why_not` says why."""

    group: str | None
    why_not: str | None = None


def submitter_of(user: str, accounting_group: object) -> str:
    """Return the name that negotiators charge: the accounting group, if any, in the user's domain."""
    has_group = isinstance(accounting_group, str) and accounting_group
    return f"{accounting_group}@{user.rpartition('@')[2]}" if has_group else user


def place_of(schedd: str, job: Mapping[str, object], idle_age_s: int, now_s: float) -> JobPlace:
    """Return a job's place by its ad's plain values, with texts for expressions; times are the schedd's."""
    if why_not := _why_not(job, idle_age_s, now_s):
        return JobPlace(None, why_not)
    number = job.get("AutoClusterId")
    autocluster = number if isinstance(number, int) and number > 0 else NO_AUTOCLUSTER
    user = submitter_of(str(job.get("User", "")), job.get("AccountingGroup"))
    return JobPlace(key_of(schedd, autocluster, user))


def _why_not(job: Mapping[str, object], idle_age_s: int, now_s: float) -> str | None:
    status, since_s = job.get("JobStatus"), job.get("EnteredCurrentStatus")
    if status != IDLE:
        state = STATES.get(status, f"has JobStatus {status}") if isinstance(status, int) else "has no JobStatus"
        reason = f": {job['HoldReason']}" if status == HELD and "HoldReason" in job else ""
        return f"the job {state}{reason}"
    if job.get("JobUniverse") not in UNIVERSES:
        return f"no negotiator seeks a machine for a job of universe {job.get('JobUniverse')}"
    if not isinstance(since_s, int | float):
        return "the job does not say since when it is idle"
    if (left_s := since_s + idle_age_s - now_s) > 0:
        return (
            f"the job is idle for {max(now_s - since_s, 0):.0f} s and counts in {left_s:.0f} s (IDLE_AGE {idle_age_s})"
        )
    if (size := len(str(job.get("Requirements", "")))) > MAX_AD_CHARACTERS:
        return f"its Requirements have {size} characters, and no more than {MAX_AD_CHARACTERS} are read"
    return None

"""Write the configuration with which a pool's central manager determines how many of the offers' machines its rules
allow.

Each pair of a job clause and an idle age gets a negotiator of its own: stock condor_negotiator, which sees the ghosts
of its offers and what users have claimed, and no other slot.
"""

import json
import re
from collections.abc import Mapping
from typing import Final

from annexd.demand.ghost_ad import GHOSTS
from annexd.demand.ghost_negotiators import PREFIX, JobClause, by_clause

EXPANDED: Final = re.compile(r"\$\w*\(")  # texts that a configuration file would not read as plain text
INTERVAL_S: Final = 20  # between two cycles, so that each of annexd's looks, a minute apart, finds a new one
HIDDEN: Final = f'!(MyType =?= "Negotiator" && regexp("^{PREFIX}", Name ?: ""))'
HEAD: Final = """\
# Which idle jobs deserve machines that do not exist yet: written by `condor_annex -demand-config` from ANNEX_OFFERS.
# Write it again when the JOBS or IDLE_AGE of an offer change: annexd believes no negotiator of another clause.
#
# Two parts follow.  Where annexd runs on the central manager, use this file as it is; else put each part into the
# config.d of its own host.  A new daemon needs condor_reconfig there, and nothing else.
"""
MANAGER: Final = """\

#### 1. The central manager ############################################################################################

# The pool's own negotiator must not see ghosts: a job that it gives to one does not run.  What
# NEGOTIATOR_SLOT_CONSTRAINT says already is kept, if it stands in a file before this one.
if defined NEGOTIATOR.NEGOTIATOR_SLOT_CONSTRAINT
  NEGOTIATOR.NEGOTIATOR_SLOT_CONSTRAINT = ($(NEGOTIATOR.NEGOTIATOR_SLOT_CONSTRAINT)) && {ghosts} =?= undefined
elif defined NEGOTIATOR_SLOT_CONSTRAINT
  NEGOTIATOR.NEGOTIATOR_SLOT_CONSTRAINT = ($(NEGOTIATOR_SLOT_CONSTRAINT)) && {ghosts} =?= undefined
else
  NEGOTIATOR.NEGOTIATOR_SLOT_CONSTRAINT = {ghosts} =?= undefined
endif

# The collector must not name the negotiators below: condor_userprio and schedds take the first one that it names for
# the pool's own.  annexd reaches them through the collector's shared port.
if defined COLLECTOR_REQUIREMENTS
  COLLECTOR_REQUIREMENTS = ($(COLLECTOR_REQUIREMENTS)) && {hidden}
else
  COLLECTOR_REQUIREMENTS = {hidden}
endif

# GROUP_NAMES, GROUP_QUOTA_*, GROUP_ACCEPT_SURPLUS and *_LIMIT are read from the same configuration, so the negotiators
# below keep the pool's fixed quotas and concurrency limits, each counting what runs.
# Not the pool's: GROUP_QUOTA_DYNAMIC_* are shares of the ghosts and the claimed slots; the factors and ceilings of
# condor_userprio live in an accountant, so annexd copies them (it must be in ALLOW_ADMINISTRATOR here).
"""
NEGOTIATOR: Final = """\

# For {offers}
{name} = $(NEGOTIATOR)
{name}_ARGS = -local-name {name}
DAEMON_LIST = $(DAEMON_LIST) {name}
if defined DC_DAEMON_LIST
  DC_DAEMON_LIST = $(DC_DAEMON_LIST) {name}
else
  DC_DAEMON_LIST = +{name}
endif
{name}.NEGOTIATOR_LOG = $(LOG)/NegotiatorAnnex{key}Log
{name}.NEGOTIATOR_MATCH_LOG = $(LOG)/NegotiatorAnnex{key}MatchLog
{name}.NEGOTIATOR_ADDRESS_FILE = $(LOG)/.negotiator_annex_{key}_address
{name}.ACCOUNTANT_DATABASE_FILE = $(SPOOL)/AccountantAnnex{key}.log
# Or condor_preen would remove it.
VALID_SPOOL_FILES = $(VALID_SPOOL_FILES) AccountantAnnex{key}.log*
# Claimed slots, too: they count in quotas, limits and priorities.
{name}.NEGOTIATOR_SLOT_CONSTRAINT = {ghosts} =?= "{key}" || State == "Claimed"
{name}.NEGOTIATOR_JOB_CONSTRAINT = {constraint}
{name}.NEGOTIATOR_CONSIDER_PREEMPTION = False
{name}.NEGOTIATOR_INTERVAL = {interval_s}
{name}.NEGOTIATOR_CYCLE_DELAY = {delay_s}
# See COLLECTOR_REQUIREMENTS.
{name}.NEGOTIATOR_UPDATE_INTERVAL = 86400
{name}.NEGOTIATOR_ADVERTISE_ACCOUNTING = False
"""
ANNEXD: Final = """\

#### 2. annexd's host ##################################################################################################

# observe: everything but the orders; docs/demand.md says what to look at before `enforce`.
ANNEX_DEMAND = observe
ANNEX_DEMAND_CONFIRM = ghosts
# The negotiators above are for these values, which annexd's host must have, too:
{offers}
"""


def demand_config(offers: Mapping[str, JobClause], interval_s: int = INTERVAL_S) -> str:
    """Return the text of 82annex-demand for these offers, in both parts."""
    parts = [HEAD, MANAGER.format(ghosts=GHOSTS, hidden=HIDDEN)]
    parts += [_negotiator(clause, names, interval_s) for clause, names in by_clause(offers).items()]
    return "".join((*parts, ANNEXD.format(offers="\n".join(_values(offers)))))


def _negotiator(clause: JobClause, offers: list[str], interval_s: int) -> str:
    return NEGOTIATOR.format(
        offers=", ".join(offers),
        name=clause.negotiator,
        key=clause.key,
        ghosts=GHOSTS,
        constraint=clause.constraint,
        interval_s=interval_s,
        delay_s=max(interval_s // 2, 1),
    )


def _values(offers: Mapping[str, JobClause]) -> list[str]:
    """Return comments, since the offers are already defined in a file of the administrator's."""
    found = [f"# ANNEX_OFFERS = {', '.join(offers)}"]
    for name, clause in offers.items():
        found += [f"# ANNEX_OFFER_{name}_JOBS = {clause.jobs}", f"# ANNEX_OFFER_{name}_IDLE_AGE = {clause.idle_age_s}"]
    return found


def fault_of_jobs(text: str) -> str | None:
    """Return why a job clause cannot be written in a configuration file, apart from its syntax."""
    if "\n" in text or text.endswith("\\"):
        return "must be one line"
    if EXPANDED.search(text):
        return f"must not have a $( left in its value, which is {json.dumps(text[:60])}"
    return None

"""Warn of names in the configuration that resemble knobs: HTCondor ignores a name that nothing reads.

`ANNEX_MAX_LEASES = 1h` would leave ANNEX_MAX_LEASE at its default, and so cost money.
"""

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from annexd.condor import bindings
from annexd.daemoncore import log
from annexd.daemoncore.config.parameters import BadConfiguration, Parameters
from annexd.service import budget_knobs

OURS: Final = re.compile(r"ANNEXD?_\w+", re.ASCII)
ALIKE: Final = 0.85  # a ratio of difflib.SequenceMatcher; that of ANNEX_MAX_LEASE_TIME and ANNEX_MAX_LEASE is 0.86
ALIKE_IN_GROUP: Final = 0.6  # of suffixes after the name of an offer or budget; that of STRAT and START is 0.8
KNOBS: Final = frozenset(  # of annexd and condor_annex
    [
        "ANNEXD_ADDRESS_FILE",
        "ANNEXD_ARGS",
        "ANNEXD_ATTRS",
        "ANNEXD_CLASSAD_USER_MAP_NAMES",
        "ANNEXD_COMMAND_STATE",
        "ANNEXD_CONFIG",
        "ANNEXD_CREATE_CORE_FILES",
        "ANNEXD_DEBUG",
        "ANNEXD_ENVIRONMENT",
        "ANNEXD_EXPRS",
        "ANNEXD_LOG",
        "ANNEXD_MAX_FILE_DESCRIPTORS",
        "ANNEXD_MAX_PENDING_CONNECTIONS",
        "ANNEXD_MAX_RUNNING_REQUESTS",
        "ANNEXD_MAX_WAITING_REQUESTS",
        "ANNEXD_NAME",
        "ANNEXD_NOT_RESPONDING_TIMEOUT",
        "ANNEXD_RECONCILE_INTERVAL",
        "ANNEXD_SHUTDOWN_TIMEOUT",
        "ANNEXD_UPDATE_INTERVAL",
        "ANNEX_ALLOW_CREDENTIAL_PROCESS",
        "ANNEX_ALLOW_DEFAULT_CREDENTIALS",
        "ANNEX_BUDGETS",
        "ANNEX_COLLECTOR_HOST",
        "ANNEX_CONFIRM_ABOVE",
        "ANNEX_DEFAULT_ACCESS_KEY_FILE",
        "ANNEX_DEFAULT_EC2_URL",
        "ANNEX_DEFAULT_FLEET_ROLE_ARN",
        "ANNEX_DEFAULT_IMAGE",
        "ANNEX_DEFAULT_INSTANCE_PROFILE_ARN",
        "ANNEX_DEFAULT_LAMBDA_URL",
        "ANNEX_DEFAULT_LEASE_FUNCTION_ARN",
        "ANNEX_DEFAULT_LOGS_URL",
        "ANNEX_DEFAULT_PRICING_URL",
        "ANNEX_DEFAULT_PROFILE",
        "ANNEX_DEFAULT_QUOTAS_URL",
        "ANNEX_DEFAULT_S3_BUCKET",
        "ANNEX_DEFAULT_S3_URL",
        "ANNEX_DEFAULT_SECRET_KEY_FILE",
        "ANNEX_DEFAULT_SECURITY_GROUP_ID",
        "ANNEX_DEFAULT_SESSION_TOKEN_FILE",
        "ANNEX_DEFAULT_SSM_URL",
        "ANNEX_DEFAULT_STS_URL",
        "ANNEX_DEFAULT_SUBNET_IDS",
        "ANNEX_DEMAND",
        "ANNEX_DEMAND_BOOT_TIME",
        "ANNEX_DEMAND_CONFIRM",
        "ANNEX_DEMAND_INTERVAL",
        "ANNEX_DEMAND_OWNER",
        "ANNEX_DRAIN_TIME",
        "ANNEX_FLEET_API",
        "ANNEX_MAX_LEASE",
        "ANNEX_MAX_TARGET_CAPACITY",
        "ANNEX_MIN_LEASE",
        "ANNEX_OFFERS",
        "ANNEX_PRICE_TABLE",
        "ANNEX_PROVISIONING_DELAY",
    ]
)
GROUPS: Final = {  # suffixes after the name of an offer or budget, by the prefix before it
    "ANNEX_OFFER_": frozenset(
        [
            "REQUEST",
            "INSTANCE_TYPE",
            "IMAGE",
            "MAX_PRICE",
            "VOLUME_SIZE",
            "MAX",
            "STEP",
            "START",
            "JOBS",
            "IDLE_AGE",
            "LEASE",
            "IDLE",
            "MAX_LEASE",
            "MARKET",
            "RANK",
            "AD",
        ]
    ),
    "ANNEX_BUDGET_": frozenset(each.removeprefix("ANNEX_BUDGET_NAME_") for each in budget_knobs.KNOBS),
}
OF_HTCONDOR: Final = frozenset(  # of every daemon, and of its own condor_annex and htcondor annex
    [
        "ANNEXD_LOCK",
        "ANNEXD_SUPER_ADDRESS_FILE",
        "ANNEX_AUDIT_LOG",
        "ANNEX_COLLECTOR",
        "ANNEX_COMMAND_STATE",
        "ANNEX_DEFAULT_AWS_REGION",
        "ANNEX_DEFAULT_CF_URL",
        "ANNEX_DEFAULT_CONNECTIVITY_FUNCTION_ARN",
        "ANNEX_DEFAULT_CWE_URL",
        "ANNEX_DEFAULT_LEASE_DURATION",
        "ANNEX_DEFAULT_ODI_INSTANCE_PROFILE_ARN",
        "ANNEX_DEFAULT_ODI_INSTANCE_TYPE",
        "ANNEX_DEFAULT_ODI_INSTANCE_TYPE_V8_7_0",
        "ANNEX_DEFAULT_ODI_LEASE_FUNCTION_ARN",
        "ANNEX_DEFAULT_ODI_SECURITY_GROUP_IDS",
        "ANNEX_DEFAULT_SFR_LEASE_FUNCTION_ARN",
        "ANNEX_DEFAULT_UNCLAIMED_TIMEOUT",
        "ANNEX_GAHP",
        "ANNEX_GAHP_LOG",
        "ANNEX_LOG",
        "ANNEX_TOKEN_DOMAIN",
        "ANNEX_USE_OLD_CREATE",
    ]
)


def warn() -> None:
    """Log a warning for each."""
    look_up = Parameters()
    try:
        daemons = look_up.words("DAEMON_LIST")
        groups = {
            f"{begin}{name}_".upper(): keys
            for begin, keys in GROUPS.items()
            for name in look_up.words(f"{begin.removesuffix('_')}S")
        }
    except BadConfiguration:
        return  # reported as a fault where it is read
    for name, meant in misspelled(bindings.knobs(), daemons, groups):
        log.always(f"WARNING: annexd does not read {name}; did you mean {meant}?")


def misspelled(
    names: Collection[str], daemons: Collection[str], groups: Mapping[str, Collection[str]]
) -> Iterator[tuple[str, str]]:
    """Yield names of knobs that nothing reads, each with the knob that it resembles.

    `daemons` are those of condor_master, whose own knobs begin with their names; one that it does not start yet is
    known by its ..._ARGS.  `groups` has, in upper case, the prefixes of the knobs of the offers and budgets in use,
    with their suffixes; other offers and budgets are ignored, even if their names begin alike.
    """
    configured = {each.upper() for each in names}
    others = {each.upper() for each in daemons} | {each for each in configured if f"{each}_ARGS" in configured}
    of_others, known = tuple(f"{each}_" for each in others - {"ANNEXD"}), KNOBS | OF_HTCONDOR | others
    in_use = sorted(groups, key=len, reverse=True)
    for name in sorted(names, key=str.upper):
        plain = name.rpartition(".")[2]
        upper = plain.upper()
        if not OURS.fullmatch(upper) or upper in known or upper.startswith(of_others):
            continue
        group = next((each for each in in_use if upper.startswith(each)), None)
        if group is None and not upper.startswith(tuple(GROUPS)):
            meant = difflib.get_close_matches(upper, KNOBS, 1, ALIKE)
        elif group is not None and not upper.endswith(tuple(f"_{each}" for each in groups[group])):
            close = difflib.get_close_matches(upper.removeprefix(group), groups[group], 1, ALIKE_IN_GROUP)
            meant = [plain[: len(group)] + each for each in close]
        else:
            continue
        yield from ((name, each) for each in meant)

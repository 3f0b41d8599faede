"""annexd's configuration: the knobs of every daemon, and its own."""

import fnmatch
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from annexd.annex.request.defaults import Defaults
from annexd.annex.request.fleet_api import EXPECTED, read_api
from annexd.budget.budget import Budget
from annexd.daemoncore.config.parameters import Parameters, param
from annexd.daemoncore.settings import DaemonSettings, common_settings
from annexd.service.budget_knobs import read_budgets
from annexd.service.demand_settings import DemandSettings

SUBNET_ID = re.compile(r"subnet-[0-9a-f]{1,17}")


@dataclass(frozen=True)
class OrderLimits:
    """Limits on concurrent orders."""

    max_running: int  # ANNEXD_MAX_RUNNING_REQUESTS
    max_waiting: int = 500  # ANNEXD_MAX_WAITING_REQUESTS; further orders are refused


@dataclass(frozen=True, kw_only=True)
class Configuration(DaemonSettings):
    """annexd's settings."""

    journal: Path  # ANNEXD_COMMAND_STATE
    orders: OrderLimits
    annex: Defaults
    reconcile_interval_s: int  # ANNEXD_RECONCILE_INTERVAL
    demand: DemandSettings
    budgets: tuple[Budget, ...]  # ANNEX_BUDGETS

    @classmethod
    def read(cls, look_up: Parameters) -> Self:
        return cls(
            **common_settings(look_up),
            journal=_journal(look_up),
            orders=OrderLimits(
                look_up.integer("ANNEXD_MAX_RUNNING_REQUESTS", 32, minimum=1),
                look_up.integer("ANNEXD_MAX_WAITING_REQUESTS", 500),
            ),
            annex=_annex_defaults(look_up),
            reconcile_interval_s=look_up.integer("ANNEXD_RECONCILE_INTERVAL", 300, minimum=1),
            demand=DemandSettings.read(look_up),
            budgets=read_budgets(look_up),
        )

    def fixed_pairs(self, start: Self) -> dict[str, tuple[object, object]]:
        return {"ANNEXD_COMMAND_STATE": (start.journal, self.journal), **super().fixed_pairs(start)}


def _journal(look_up: Parameters) -> Path:
    journal = look_up.path("ANNEXD_COMMAND_STATE")
    if journal is None:
        look_up.faults.append("ANNEXD_COMMAND_STATE must name the journal file: is config.d/80annexd installed?")
    elif _condor_preen_would_remove(journal, look_up):
        look_up.faults.append(
            f"condor_preen would remove the journal {journal}, because it is in SPOOL: add "
            f"{journal.name}* to VALID_SPOOL_FILES"
        )
    return journal or Path()


def _condor_preen_would_remove(journal: Path, look_up: Parameters) -> bool:
    """Return whether the journal, or a file of SQLite's beside it, is in SPOOL and not a valid spool file.

    condor_preen checks the first name below SPOOL, with `*` in its lists (check_spool_dir in condor_tools/preen.cpp).
    """
    spool = Path(look_up.text("SPOOL"))
    if not journal.is_relative_to(spool):
        return False
    first = journal.relative_to(spool).parts[0]
    kept = (*look_up.words("VALID_SPOOL_FILES"), *look_up.words("SYSTEM_VALID_SPOOL_FILES"))
    names = [f"{first}{suffix}" for suffix in ("", "-wal", "-shm")] if journal.parent == spool else [first]
    return not all(any(_matches(name, pattern) for pattern in kept) for name in names)


def _matches(name: str, pattern: str) -> bool:
    """Match a pattern as condor_preen does: `*` is the only wildcard."""
    return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]").replace("?", "[?]"))


def _annex_defaults(look_up: Parameters) -> Defaults:
    default = Defaults()
    return Defaults(
        ec2_url=look_up.text("ANNEX_DEFAULT_EC2_URL", default.ec2_url),
        lambda_url=look_up.text("ANNEX_DEFAULT_LAMBDA_URL", default.lambda_url),
        s3_url=look_up.text("ANNEX_DEFAULT_S3_URL", default.s3_url),
        sts_url=look_up.text("ANNEX_DEFAULT_STS_URL", default.sts_url),
        logs_url=look_up.text("ANNEX_DEFAULT_LOGS_URL", default.logs_url),
        pricing_url=look_up.text("ANNEX_DEFAULT_PRICING_URL", default.pricing_url),
        quotas_url=look_up.text("ANNEX_DEFAULT_QUOTAS_URL", default.quotas_url),
        price_table=look_up.text("ANNEX_PRICE_TABLE", default.price_table),
        ssm_url=look_up.text("ANNEX_DEFAULT_SSM_URL", default.ssm_url),
        lease_function_arn=param("ANNEX_DEFAULT_LEASE_FUNCTION_ARN"),
        s3_bucket=param("ANNEX_DEFAULT_S3_BUCKET"),
        instance_profile_arn=param("ANNEX_DEFAULT_INSTANCE_PROFILE_ARN"),
        security_group_id=param("ANNEX_DEFAULT_SECURITY_GROUP_ID"),
        subnet_ids=_subnets(look_up),
        fleet_api=_fleet_api(look_up, default.fleet_api),
        fleet_role_arn=param("ANNEX_DEFAULT_FLEET_ROLE_ARN"),
        collector_host=look_up.text("ANNEX_COLLECTOR_HOST", look_up.text("COLLECTOR_HOST")),
        trust_domain=look_up.text("TRUST_DOMAIN", look_up.text("UID_DOMAIN")),
        uid_domain=look_up.text("UID_DOMAIN", look_up.text("FULL_HOSTNAME")),
        issuer_key=look_up.text("SEC_TOKEN_ISSUER_KEY", default.issuer_key),
        drain_time_s=look_up.integer("ANNEX_DRAIN_TIME", default.drain_time_s, minimum=1),
        provisioning_delay_s=look_up.integer("ANNEX_PROVISIONING_DELAY", default.provisioning_delay_s, minimum=1),
        max_lease_s=look_up.integer("ANNEX_MAX_LEASE", default.max_lease_s, minimum=1),
        shortest_lease_s=look_up.integer("ANNEX_MIN_LEASE", default.shortest_lease_s, minimum=1),
        max_target_capacity=look_up.integer("ANNEX_MAX_TARGET_CAPACITY", default.max_target_capacity, minimum=1),
        super_users=_super_users(look_up),
        allow_default_credentials=look_up.boolean("ANNEX_ALLOW_DEFAULT_CREDENTIALS", False),
        allow_credential_process=look_up.boolean("ANNEX_ALLOW_CREDENTIAL_PROCESS", True),
    )


def _fleet_api(look_up: Parameters, default: str) -> str:
    text = look_up.text("ANNEX_FLEET_API", default)
    api = read_api(text)
    if api is None:
        look_up.faults.append(f"ANNEX_FLEET_API must be {EXPECTED}, not {text}")
    return api or default


def _subnets(look_up: Parameters) -> tuple[str, ...]:
    """Return the subnets.

    -setup writes `default` for the default VPC: otherwise a local name without the knob would get the first region's.
    """
    named = [each for each in look_up.words("ANNEX_DEFAULT_SUBNET_IDS") if each.lower() != "default"]
    if wrong := [each for each in named if not SUBNET_ID.fullmatch(each)]:
        look_up.faults.append(f"ANNEX_DEFAULT_SUBNET_IDS must be IDs of subnets, or `default`, not {', '.join(wrong)}")
    return tuple(named)


def _super_users(look_up: Parameters) -> frozenset[str]:
    """Read the schedd's QUEUE_SUPER_USERS, who may cancel other users' annexes as they may remove their jobs."""
    domain = look_up.text("UID_DOMAIN", look_up.text("FULL_HOSTNAME"))
    names = look_up.words("QUEUE_SUPER_USERS")
    return frozenset(name if "@" in name else f"{name}@{domain}" for name in names)

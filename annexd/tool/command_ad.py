"""Build the command ad of one request: the config's attributes at the top level, beside annexd's own."""

import os
from collections.abc import Mapping
from typing import Any, Final

from annexd.tool.config_file import Config, fault_of_text
from annexd.tool.errors import USAGE, ToolError
from annexd.tool.key_options import Param, keys_of
from annexd.tool.options import ToolOptions
from annexd.tool.times import shown_distance, shown_time

COMMAND: Final = "CA_BULK_REQUEST"
QUOTE: Final = "CA_QUOTE_ANNEX"
CANCEL: Final = "CA_CANCEL_ANNEX"
CHANGE: Final = "CA_CHANGE_LEASE"
RESIZE: Final = "CA_RESIZE_ANNEX"
QUERY: Final = "CA_QUERY_ANNEXES"
HISTORY: Final = "CA_QUERY_HISTORY"
BUDGETS: Final = "CA_QUERY_BUDGETS"
DEMAND: Final = "CA_QUERY_DEMAND"
SWITCH: Final = "CA_SWITCH_OFFER"
REQUEST_VERSION: Final = 1


def command_ad(config: Config, options: ToolOptions, param: Param, now_s: float) -> dict[str, Any]:
    """Build the ad of an order, with defaults from HTCondor's configuration; annexd supplies endpoints not given.

    The CommandID makes a retry safe: annexd replies to the second ad from its journal.
    """
    given = {
        "LeaseFunctionARN": options.lease_function_arn or param("ANNEX_DEFAULT_LEASE_FUNCTION_ARN"),
        "ServiceURL": options.service_url,
        "EventsURL": options.events_url,
        "LambdaURL": options.lambda_url,
        "LogsURL": options.logs_url,
        "S3URL": options.s3_url,
        "STSURL": options.sts_url,
        "SSMURL": options.ssm_url,
        "S3Bucket": options.s3_bucket,
        "FleetAPI": options.fleet_api,
        "AnnexName": options.annex_name,
        "AnnexOwner": options.annex_owner,
        "ConfigDir": os.path.abspath(options.config_dir) if options.config_dir else None,
        **keys_of(options, param),
    }
    return {
        **config,
        **_texts(given),
        **({"MaxIdleTime": options.idle_s} if options.idle_s else {}),
        **({"NoOwner": True} if options.no_owner else {}),
        **({"JoinPool": False} if options.no_join else {}),
        "Command": COMMAND,
        "RequestVersion": REQUEST_VERSION,
        "CommandID": options.command_id or os.urandom(16).hex(),
        "EndOfLease": int(now_s) + options.lease_duration_s,
        "LeaseDuration": options.lease_duration_s,
    }


def quote_ad(order: Mapping[str, Any]) -> dict[str, Any]:
    """Build the ad that requests a quote of the order with this ad."""
    return {**{name: value for name, value in order.items() if name != "CommandID"}, "Command": QUOTE}


def query_ad(options: ToolOptions) -> dict[str, Any]:
    """Build the ad that queries all annexes, or one."""
    annex = {"Annex": options.file} if options.file else {}
    return {**annex, "Command": QUERY, "RequestVersion": REQUEST_VERSION}


def history_ad(options: ToolOptions, before: int | None) -> dict[str, Any]:
    """Build the ad that queries a page of the history; `before`: Next of the page before it."""
    annex = {"Annex": options.file} if options.file else {}
    since = {} if options.since_s is None else {"Since": options.since_s}
    page = {} if before is None else {"Before": before}
    return {**annex, **since, **page, "Command": HISTORY, "RequestVersion": REQUEST_VERSION}


def budget_ad(options: ToolOptions) -> dict[str, Any]:
    """Build the ad that queries all budgets, or one."""
    budget = {"Budget": options.file} if options.file else {}
    return {**budget, "Command": BUDGETS, "RequestVersion": REQUEST_VERSION}


def demand_ad(group: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Build the ad that queries demand and offers; with Schedd, AutoclusterID and User, those of a group of similar
    jobs.
    """
    return {**(group or {}), "Command": DEMAND, "RequestVersion": REQUEST_VERSION}


def switch_ad(options: ToolOptions) -> dict[str, Any]:
    """Build the ad that pauses or resumes an offer."""
    return {
        "Command": SWITCH,
        "RequestVersion": REQUEST_VERSION,
        "CommandID": options.command_id or os.urandom(16).hex(),
        "Offer": options.pause or options.resume,
        "Paused": bool(options.pause),
    }


def cancel_ad(options: ToolOptions) -> dict[str, Any]:
    """Build the ad that cancels an annex."""
    return {**_about(options.cancel, CANCEL, options), **({"ForceX": True} if options.forcex else {})}


def resize_ad(options: ToolOptions) -> dict[str, Any]:
    """Build the ad that changes the size of an annex."""
    now = {"Now": True} if options.now else {}
    return {**_about(options.file, RESIZE, options), "TargetCapacity": options.resize_to, **now}


def change_ad(options: ToolOptions, now_s: float) -> dict[str, Any]:
    """Build the ad that changes the end of a lease, by -extend or to -until.

    Raises ToolError for an end in the past, unless the command was sent before.
    """
    end_s = options.until_s
    if end_s is not None and end_s <= now_s and not options.command_id:
        message = f"-until {shown_time(end_s)} was {shown_distance(end_s - now_s)}"
        raise ToolError(USAGE, f"{message}: give a future time; condor_annex -cancel {options.file} ends the annex now")
    return {
        **_about(options.file, CHANGE, options),
        **({"LeaseExtension": options.extend_s} if end_s is None else {"EndOfLease": end_s}),
        **({"Now": True} if options.now else {}),
    }


def _about(annex: str | None, command: str, options: ToolOptions) -> dict[str, Any]:
    """Build a command about an existing annex.

    Without keys annexd uses those of the order, so today's defaults are not added.
    """
    return {
        **_texts(keys_of(options, lambda _: None)),
        "Command": command,
        "RequestVersion": REQUEST_VERSION,
        "CommandID": options.command_id or os.urandom(16).hex(),
        "Annex": annex,
    }


def _texts(given: Mapping[str, str | None]) -> dict[str, str]:
    """Return the given texts.  Raises ToolError for a text that a ClassAd cannot carry."""
    texts = {name: value for name, value in given.items() if value}
    faults = [f"{name} {fault}" for name, value in texts.items() if (fault := fault_of_text(value))]
    if faults:
        raise ToolError(USAGE, *faults)
    return texts

"""-metrics: the numbers of annexd's ad as Prometheus reads them, for the textfile collector of its node_exporter.

The ad comes from annexd itself, so the numbers are current.  Each sample has the label `annexd`, since one host may
have several, whose files node_exporter reads together.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeAlias, TypeGuard

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from annexd.tool import bindings, locate
from annexd.tool.attempt import Child
from annexd.tool.errors import COMMUNICATION, ToolError
from annexd.tool.options import ToolOptions

ANSWER_S: Final = 40.0  # HTCondor's bindings give up on a silent daemon after 20 s
LABEL: Final = "annexd"
Family: TypeAlias = CounterMetricFamily | GaugeMetricFamily
Values: TypeAlias = Mapping[str, Any]
Sample: TypeAlias = tuple[tuple[str, ...], float]  # the values of its labels, the number


class Metric(NamedTuple):
    """One attribute of the ad, as Prometheus names it: base units, seconds since the epoch for times."""

    name: str
    attribute: str
    help: str


PERSISTENT: Final = "counted from the journal and kept over restarts"
COUNTERS: Final = (
    Metric("orders_accepted", "AnnexOrdersAccepted", f"Orders for annexes accepted, {PERSISTENT}"),
    Metric("orders_succeeded", "AnnexOrdersSucceeded", f"Orders carried out, {PERSISTENT}"),
    Metric("orders_failed", "AnnexOrdersFailed", f"Orders failed, {PERSISTENT}"),
    Metric("orders_undone", "AnnexOrdersUndone", f"Failed orders that left nothing in AWS, {PERSISTENT}"),
    Metric("cancellations_accepted", "AnnexCancellationsAccepted", f"Cancellations accepted, {PERSISTENT}"),
    Metric("cancellations_succeeded", "AnnexCancellationsSucceeded", f"Cancellations carried out, {PERSISTENT}"),
    Metric("cancellations_failed", "AnnexCancellationsFailed", f"Cancellations failed, {PERSISTENT}"),
    Metric("lease_changes_accepted", "AnnexLeaseChangesAccepted", f"Changes of an end accepted, {PERSISTENT}"),
    Metric("lease_changes_succeeded", "AnnexLeaseChangesSucceeded", f"Changes of an end carried out, {PERSISTENT}"),
    Metric("lease_changes_failed", "AnnexLeaseChangesFailed", f"Changes of an end failed, {PERSISTENT}"),
    Metric("resizes_accepted", "AnnexResizesAccepted", f"Changes of a size accepted, {PERSISTENT}"),
    Metric("resizes_succeeded", "AnnexResizesSucceeded", f"Changes of a size carried out, {PERSISTENT}"),
    Metric("resizes_failed", "AnnexResizesFailed", f"Changes of a size failed, {PERSISTENT}"),
    Metric("fleets_ended_overdue", "AnnexEndedOverdue", "Overdue fleets that annexd ended itself, since its start"),
    Metric("connections_accepted", "DCConnectionsAccepted", "Connections accepted since the start"),
    Metric("connections_denied", "DCConnectionsDenied", "Connections refused for a missing permission"),
    Metric("connections_dropped", "DCConnectionsDropped", "Connections ended before a command was authenticated"),
)
GAUGES: Final = (
    Metric("start_time_seconds", "DaemonStartTime", "When this annexd started, since the epoch"),
    Metric("orders_running", "AnnexOrdersRunning", "Orders under way"),
    Metric("orders_waiting", "AnnexOrdersWaiting", "Orders that wait for others"),
    Metric("requests_unfinished", "AnnexUnfinished", "Orders, cancellations and changes that are unfinished"),
    Metric("requests_undoing", "AnnexUndoing", "Failed ones that are being undone"),
    Metric("requests_stuck", "AnnexStuck", "Those that cannot be completed or undone yet"),
    Metric("annexes", "AnnexLiving", "Living annexes, by the journal"),
    Metric("units_ordered", "AnnexUnitsOrdered", "Target capacity of the living annexes"),
    Metric("next_end_timestamp_seconds", "AnnexNextEndTime", "When the next lease ends, since the epoch"),
    Metric("fleets", "AnnexFleets", "Fleets seen in AWS at the newest looks"),
    Metric("instances", "AnnexInstances", "Instances seen in AWS at the newest looks"),
    Metric("fleets_troubled", "AnnexTroubled", "Fleets that cannot start all their instances"),
    Metric("fleets_overdue", "AnnexOverdue", "Fleets that live longer than their leases"),
    Metric("reconcile_timestamp_seconds", "AnnexReconcileTime", "When annexd last looked at an account"),
    Metric("reconcile_faults", "AnnexReconcileFaults", "Accounts that could not be read"),
    Metric("throttled_accounts", "AnnexThrottledAccounts", "Accounts whose calls AWS throttles"),
    Metric("clock_skew_seconds", "AnnexClockSkew", "By how much the clock of AWS is ahead"),
    Metric("journal_ok", "AnnexJournalOK", "1 if the journal can be written"),
    Metric("journal_records", "AnnexJournalRecords", "Records of the journal, without its archive"),
    Metric("journal_bytes", "AnnexJournalBytes", "Size of the journal and its log, without its archive"),
    Metric("connections_pending", "DCConnectionsPending", "Connections that have not sent their command yet"),
)
OF_SERVICE: Final = (
    Metric("aws_calls", "Calls", "Calls to AWS since the start"),
    Metric("aws_errors", "Errors", "Calls to AWS answered with an error, or not at all, since the start"),
    Metric("aws_throttles", "Throttles", "Calls that AWS throttled since the start"),
)
SERVICES: Final = ("EC2", "Lambda", "Logs", "S3", "STS")
HEARTBEAT: Final = re.compile(r"AnnexFunctionTime_(\d{12})_([a-z0-9_]+)", re.IGNORECASE)


def show(options: ToolOptions) -> None:
    """Print the metrics of the annexd that the options select.  Raises ToolError."""
    sys.stdout.write(text(_own_ad(options)))
    sys.stdout.flush()


def text(ad: Values) -> str:
    """Return an ad of annexd in the text format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(_AdCollector(ad))
    return generate_latest(registry).decode()


class _AdCollector(Collector):
    def __init__(self, ad: Values) -> None:
        self._ad = ad

    def collect(self) -> Iterator[Family]:
        return families(self._ad)


def families(ad: Values) -> Iterator[Family]:
    """Yield the metrics in the ad; a missing attribute, as after a start, has no sample."""
    name = str(ad.get("Name"))
    for kind, metrics in ((CounterMetricFamily, COUNTERS), (GaugeMetricFamily, GAUGES)):
        for metric in metrics:
            if _is_number(value := ad.get(metric.attribute)):
                yield _family(kind, metric, [((name,), value)])
    for metric in OF_SERVICE:
        values = {each.lower(): ad.get(f"Annex{each}{metric.attribute}") for each in SERVICES}
        samples: list[Sample] = [((name, service), value) for service, value in values.items() if _is_number(value)]
        yield _family(CounterMetricFamily, metric, samples, "service")
    beat = Metric("lease_function_timestamp_seconds", "", "When the lease function last ran, since the epoch")
    yield _family(GaugeMetricFamily, beat, list(_heartbeats(ad, name)), "account", "region")
    build = Metric("build_info", "", "The versions of annexd and of the bindings of HTCondor that it uses")
    versions = str(ad.get("AnnexdVersion")), str(ad.get("CondorVersion"))
    yield _family(GaugeMetricFamily, build, [((name, *versions), 1)], "version", "condor_version")


def _family(kind: type[Family], metric: Metric, samples: list[Sample], *labels: str) -> Family:
    family = kind(f"annexd_{metric.name}", metric.help, labels=[LABEL, *labels])
    for values, number in samples:
        family.add_metric(list(values), float(number))
    return family


def _heartbeats(ad: Values, name: str) -> Iterator[Sample]:
    for attribute, value in sorted(ad.items()):
        if (found := HEARTBEAT.fullmatch(attribute)) and _is_number(value):
            yield (name, found[1], found[2].lower().replace("_", "-")), value


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float)


def _own_ad(options: ToolOptions) -> Values:
    """Return annexd's ad from annexd itself, queried in a child, since HTCondor's bindings may wait for long."""
    child = Child(lambda write: write(_answer(options)))
    in_time = child.wait(options.timeout_s or ANSWER_S)
    child.end()
    match child.lines():
        case [[dict(ad), _, _]]:
            return ad
        case [[None, int(status), list(faults)]]:
            raise ToolError(status, *map(str, faults))
    raise ToolError(
        COMMUNICATION, "HTCondor's bindings ended the process that asked" if in_time else "annexd gives no answer"
    )


def _answer(options: ToolOptions) -> tuple[Values | None, int, tuple[str, ...]]:
    try:
        _, address = locate.found(options, None)
        return bindings.own_ad(address, locate.MY_TYPE), 0, ()
    except ToolError as error:
        return None, error.status, error.faults
    except bindings.HTCondorException as error:
        return None, COMMUNICATION, (f"annexd does not show its ad: {error}", "condor_who shows whether it runs")

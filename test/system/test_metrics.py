"""The numbers in annexd's ad, after orders, failures and a kill -9, as condor_gangliad and Prometheus read them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import classad2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from annexd import __version__
from annexd.tool.errors import NOT_FOUND
from test.cloud import Cloud
from test.replies import accepted
from test.system.site import TOP, Site
from test.system.tool import condor_annex

DEFINITIONS = TOP / "ganglia.d" / "50_annexd_metrics"
CONFIG = f"""
DAEMON_LIST = $(DAEMON_LIST), GANGLIAD
GANGLIA_LIB = NOOP
GANGLIA_SEND_DATA_FOR_ALL_HOSTS = true
GANGLIAD_INTERVAL = 2
GANGLIAD_VERBOSITY = 2
GANGLIAD_DEBUG = D_FULLDEBUG
GANGLIAD_METRICS_CONFIG_DIR = {DEFINITIONS.parent}
ANNEXD_UPDATE_INTERVAL = 3
"""
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(scope="module")
def site(cloud: Cloud) -> Iterator[Site]:
    with Site(cloud, CONFIG) as site:
        yield site


def whole_ad(site: Site) -> dict[str, Any]:
    """Return annexd's ad as condor_status -any -l shows it, parsed as a ClassAd."""
    said = site.pool.tool("condor_status", "-any", "-l", "-constraint", 'MyType == "Annexd"').stdout
    ad = classad2.ClassAd("[" + ";".join(said.strip().splitlines()) + "]")
    return {name: ad.eval(name) for name in ad}


def samples(site: Site) -> Samples:
    """Return what -metrics prints, by name and labels, without the label of the daemon."""
    done = condor_annex(site, "-metrics")
    assert done.returncode == 0, done.stderr
    found: Samples = {}
    for family in text_string_to_metric_families(done.stdout):
        assert family.documentation, family.name
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("annexd").startswith("annexd@")
            key = (sample.name, tuple(sorted(labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


def of(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((f"annexd_{name}", tuple(sorted(labels.items()))))


def counted(site: Site, **expected: float) -> Samples:
    """Wait until -metrics prints these unlabelled numbers; return all samples."""
    newest: list[Samples] = []

    def are_true() -> bool:
        newest[:] = [samples(site)]
        return all(of(newest[0], name) == number for name, number in expected.items())

    try:
        site.wait(are_true, f"{expected}")
    except AssertionError as error:
        shown = {name: of(newest[0], name) for name in expected}
        raise AssertionError(f"{error}: {shown}") from error
    return newest[0]


def test_the_numbers_are_true_after_orders_failures_and_a_kill(site: Site) -> None:
    replies = [accepted(site.order(TargetCapacity=3)), accepted(site.order(TargetCapacity=4, lease_s=7200))]
    site.cloud.fault("RequestSpotFleet", "denied")
    assert site.order()["Result"] == "Failure"
    cancelled = condor_annex(site, "-cancel", replies[0]["AnnexID"])
    assert cancelled.returncode == 0, cancelled.stderr
    extended = condor_annex(site, "-extend", "1h", replies[1]["AnnexID"])
    assert extended.returncode == 0, extended.stderr
    expected: dict[str, float] = {
        "orders_accepted_total": 3,
        "orders_succeeded_total": 2,
        "orders_failed_total": 1,
        "orders_undone_total": 1,
        "cancellations_accepted_total": 1,
        "cancellations_succeeded_total": 1,
        "lease_changes_accepted_total": 1,
        "lease_changes_succeeded_total": 1,
        "annexes": 1,
        "units_ordered": 4,
        "orders_running": 0,
        "orders_waiting": 0,
        "requests_unfinished": 0,
        "requests_stuck": 0,
    }
    before = counted(site, **expected)
    assert of(before, "next_end_timestamp_seconds") == replies[1]["EndOfLease"] + 3600
    assert (of(before, "aws_calls_total", service="ec2") or 0) >= 3
    assert (of(before, "aws_errors_total", service="ec2") or 0) >= 1
    starts = site.starts()
    site.kill()
    site.wait_for_restart(starts)
    after = counted(site, **expected)
    assert (of(after, "start_time_seconds") or 0) >= (of(before, "start_time_seconds") or 0)
    assert (of(after, "connections_accepted_total") or 0) < (of(before, "connections_accepted_total") or 0)
    assert of(after, "journal_ok") == 1
    assert (of(after, "journal_records") or 0) >= 10
    assert of(after, "build_info", version=__version__, condor_version=whole_ad(site)["CondorVersion"]) == 1


def test_a_throttled_call_and_connections_are_counted(site: Site) -> None:
    before = samples(site)
    site.cloud.fault("RequestSpotFleet", "throttle")
    accepted(site.order())
    after = samples(site)
    for name in ("aws_throttles_total", "aws_errors_total"):
        assert (of(after, name, service="ec2") or 0) == (of(before, name, service="ec2") or 0) + 1
    assert (of(after, "connections_accepted_total") or 0) > (of(before, "connections_accepted_total") or 0)


def test_the_heartbeat_of_each_account_and_region_is_shown_and_no_owner(site: Site) -> None:
    accepted(site.order(AnnexName="private"))

    def beat() -> float | None:
        return of(samples(site), "lease_function_timestamp_seconds", account="123456789012", region="us-east-1")

    assert site.wait(beat, "the heartbeat in the metrics")
    text = json.dumps({name: str(value) for name, value in whole_ad(site).items()})
    assert "private" not in text
    assert site.public_key_file not in text


def test_counters_have_their_recent_growth_beside_them(site: Site) -> None:
    accepted(site.order())

    def has_grown() -> bool:
        ad = whole_ad(site)
        return bool(0 < ad["RecentAnnexOrdersAccepted"] <= ad["AnnexOrdersAccepted"] and ad["RecentStatsLifetime"] >= 0)

    site.wait(has_grown, "an order in the recent counts")


def definitions() -> list[Any]:
    """Return the metric ads of the file, without its comment."""
    text = re.sub(r"/\*.*?\*/", "", DEFINITIONS.read_text(), flags=re.DOTALL)
    return list(classad2.parseAds(text, classad2.ParserType.New))


def test_every_definition_for_condor_gangliad_has_a_value_in_the_ad(site: Site) -> None:
    accepted(site.order())
    site.wait_for_look()
    site.wait(lambda: {"AnnexFunctionTime", "AnnexNextEndTime"} <= whole_ad(site).keys(), "the ad to be complete")
    ad = classad2.ClassAd(whole_ad(site))
    assert len(definitions()) > 30
    for metric in definitions():
        name, expression = metric["Name"], metric.lookup("Value") if "Value" in metric else None
        value = ad.eval(name) if expression is None else expression.eval(ad)
        expected = str if name == "AnnexdVersion" else int | float
        assert isinstance(value, expected) and not isinstance(value, classad2.Value), (name, value)  # noqa: PT018
        assert metric["TargetType"] == "Annexd"
        if "Requirements" in metric:
            assert metric.lookup("Requirements").eval(ad) is True, name


def test_condor_gangliad_publishes_every_metric(site: Site) -> None:
    accepted(site.order())
    names = {metric["Name"] for metric in definitions()}

    def missing() -> set[str]:
        return names - set(re.findall(r"publishing (\w+)", site.pool.log("GANGLIAD")))

    site.wait(lambda: not missing(), "condor_gangliad to publish the metrics")


def test_metrics_of_an_annexd_that_does_not_run_are_an_error(site: Site) -> None:
    done = condor_annex(site, "-metrics", "-name", "nobody@nowhere.test")
    assert (done.returncode, done.stdout) == (NOT_FOUND, "")
    assert "nobody@nowhere.test" in done.stderr

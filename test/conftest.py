"""Rules for every test: none is skipped, and none sees the AWS keys or the HTCondor of the user who runs them."""

from __future__ import annotations

import gc
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import configuration, settings

from annexd.daemoncore.program import run_as
from annexd.service.program import PROGRAM
from test.whole import IS_WHOLE, WHOLE

# The longest tests begin first, so no single file still runs when all others have ended.
LONG = (
    "test/instance/test_refresh.py",
    "test/system/test_demo.py",
    "test/demand/test_mixes.py",
    "test/live/",
    "test/chaos/",
    "test/system/",
)

collect_ignore = [] if os.geteuid() == 0 else ["root"]
collect_ignore += [] if "ANNEXD_DEB" in os.environ else ["deb"]  # make deb-test
collect_ignore += [] if shutil.which("zsh") else ["tool/test_zsh_completion.py"]  # make deb-test has a zsh

# The checkout may belong to another user.  A failing example is printed, so none needs to be stored.
home = tempfile.TemporaryDirectory(prefix="annexd-hypothesis-")
configuration.set_hypothesis_home_dir(Path(home.name))
settings.register_profile("annexd", database=None, deadline=None)
settings.load_profile("annexd")

multiprocessing.set_forkserver_preload(["test.cloud.__main__", "test.annex.killed"])  # imported once for all clouds

run_as(PROGRAM)  # whose knobs daemoncore reads

NOBODYS_AWS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


def pytest_configure() -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "CONDOR_", "_CONDOR_"))]:
        del os.environ[name]
    os.environ.update(NOBODYS_AWS, CONDOR_CONFIG="ONLY_ENV")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not IS_WHOLE and (left_out := [item for item in items if item.get_closest_marker(WHOLE.name)]):
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: next((n for n, each in enumerate(LONG) if item.nodeid.startswith(each)), len(LONG)))


def pytest_collection_finish() -> None:
    """Exclude from garbage collection what lives as long as this process: modules, AWS's models, the tests."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return _failed_if_skipped(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _failed_if_skipped(report)


Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def _failed_if_skipped(report: Report) -> Report:
    """Turn a skip into a failure, because a test that cannot run shows nothing.  An expected failure stays."""
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which counts as failed here: {report.longrepr}"
    return report

"""One machine of an annex as its boot script sees it: its own folder, and tools that shut nothing real down."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from test.cloud import Cloud
from test.cloud.machine import give_tools

SCRIPT = Path(__file__).resolve().parents[2] / "bin" / "condor-annex-ec2"


@dataclass(frozen=True)
class Outcome:
    """The result of one run of the boot script."""

    status: int
    log: str
    calls: list[dict[str, Any]]

    @property
    def was_shut_down(self) -> bool:
        return ["-h", "now"] in self.arguments("shutdown")

    def arguments(self, tool: str) -> list[list[str]]:
        return [each["arguments"] for each in self.calls if each["tool"] == tool]

    def timers(self) -> dict[str, int]:
        """Return the seconds of each timer that systemd-run was called for, by unit."""
        return {
            each["--unit"]: int(each["--on-active"].removesuffix("s"))
            for each in self._systemd_runs()
            if "--on-active" in each and "--on-unit-active" not in each
        }

    def repeated(self) -> list[dict[str, str]]:
        """Return the options of the repeating timers."""
        return [each for each in self._systemd_runs() if "--on-unit-active" in each]

    def _systemd_runs(self) -> list[dict[str, str]]:
        return [dict(each.partition("=")[::2] for each in call) for call in self.arguments("systemd-run")]


class Machine:
    """A machine; `boot()` runs the script as systemd would, and the script writes into `config` and `tokens`."""

    def __init__(self, folder: Path, cloud: Cloud, instance_id: str) -> None:
        self.folder, self.cloud, self.instance_id = folder, cloud, instance_id
        self.config, self.tokens = folder / "config.d", folder / "tokens.d"
        self.log = folder / "log"
        self.environment = {
            "MACHINE": str(folder),
            "PATH": str(folder / "bin"),
            "AWS_ENDPOINT_URL": cloud.url,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": cloud.metadata_url(instance_id),
        }
        give_tools(folder)

    def command(self, *options: str) -> list[str]:
        folders = [
            f"--config-dir={self.config}",
            f"--token-dir={self.tokens}",
            f"--state-dir={self.folder / 'state'}",
            f"--log={self.log}",
        ]
        return [sys.executable, "-I", str(SCRIPT), *folders, "--patience=20", *options]

    def boot(self, *options: str) -> Outcome:
        before = len(self.calls())
        done = subprocess.run(
            self.command(*options),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
            text=True,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, self.calls()[before:])

    def calls(self) -> list[dict[str, Any]]:
        reported = self.folder / "tools"
        return [json.loads(line) for line in reported.read_text().splitlines()] if reported.exists() else []

    def refresh(self, *options: str) -> Outcome:
        """Refresh as the timer does that the boot has armed."""
        return self.boot("--refresh", *options)

    def state(self) -> dict[str, Any]:
        reported: dict[str, Any] = json.loads((self.folder / "state" / "state.json").read_text())
        return reported

    def files(self) -> dict[str, str]:
        """Return the name and content of every file that HTCondor would read."""
        return {
            each.name: each.read_text()
            for folder in (self.config, self.tokens)
            if folder.exists()
            for each in sorted(folder.iterdir())
            if not each.name.startswith(".")  # a file that is about to be renamed
        }

    def standing(self) -> set[str]:
        """Return the units of pending timers that would shut the machine down."""
        units = {each.stem.removeprefix("timer-") for each in self.folder.glob("timer-*.pid")}
        return units - {"condor-annex-ec2-refresh", "condor-annex-ec2-notice"}

    def reboot(self, *options: str) -> Outcome:
        """Boot again without the timers, which a reboot ends."""
        self.stop()
        for timer in self.folder.glob("timer-*"):
            timer.unlink()
        return self.boot(*options)

    def stop(self) -> None:
        """Stop the timers, which would outlive the test."""
        for file in self.folder.glob("timer-*.pid"):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(int(file.read_text()), signal.SIGKILL)  # with the refresh that it may have just started

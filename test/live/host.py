"""Run the rehearsal's own pool with annexd on this machine, and condor_annex.

A real condor_master starts annexd, and the real condor_annex uses it, with keys in files like a user's.
Nothing listens on any address but 127.0.0.1, and no machine of AWS joins.  The files are in the pool's folder, which
only its owner may read; the pool's warden removes them, even if this process is killed.
"""

import base64
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from test.live import names
from test.live.account import Keys
from test.live.pace import Durations
from test.pool import ANNEXD_CONFIG, Pool

DAEMONS: Final = ("MASTER", "COLLECTOR", "SHARED_PORT", "ANNEXD")
CONFIG: Final = """
LOCAL_CONFIG_DIR = $(LOCAL_DIR)/config.d
ANNEX_MIN_LEASE = {shortest}
"""
TURN_OFF: Final = "#!/bin/sh\nshutdown -h +55\n"  # each machine shuts itself down in any case


class Host:
    """The host; `start` it after -setup has written its file, `stop` it before the clean-up."""

    def __init__(self, pace: Durations) -> None:
        self._pace = pace
        self.pool = Pool(daemons=DAEMONS)
        with self.pool.config_file.open("a") as config:
            config.write(ANNEXD_CONFIG + CONFIG.format(shortest=min(300, pace.short_lease_s)))
        (self.pool.directory / "config.d").mkdir()
        # No daemon inherits the caller's keys: annexd has only those in the files.
        self.pool.env = {name: value for name, value in self.pool.env.items() if not name.startswith("AWS_")}
        self.is_running = False

    @property
    def file(self) -> Path:
        """Return the file that -setup writes."""
        return self.pool.directory / "config.d" / "81annex"

    def start(self) -> None:
        """Start the pool.  Raises PoolError."""
        self.pool.start()
        self.is_running = True

    def stop(self) -> None:
        """Stop the pool within a time limit; afterwards annexd makes no more calls, and its keys are deleted."""
        self.is_running = False
        self.pool.stop()

    def annex(self, *arguments: str, aws: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run condor_annex; `aws` is the environment for -setup, -check-setup and -teardown."""
        return self.pool.run(*self._pace.condor_annex, *arguments, env=aws, timeout_s=self._pace.command_s)

    def status(self) -> list[dict[str, Any]]:
        """Return annexd's annexes."""
        response = self.annex("-status", "-json")
        return list(json.loads(response.stdout)) if response.returncode == 0 and response.stdout.strip() else []

    def config(self, run: str, image: str, instance_type: str) -> str:
        """Write a Spot Fleet request config of one small machine, and return its path."""
        tags = [{"Key": names.TAG, "Value": run}]
        specification = {
            "ImageId": image,
            "InstanceType": instance_type,
            "UserData": user_data(),
            "TagSpecifications": [{"ResourceType": "instance", "Tags": tags}],
        }
        path = self.pool.directory / "config.json"
        path.write_text(
            json.dumps(
                {
                    "AllocationStrategy": "lowestPrice",
                    "TargetCapacity": 1,
                    "Type": "request",
                    "LaunchSpecifications": [specification],
                    "TagSpecifications": [{"ResourceType": "spot-fleet-request", "Tags": tags}],
                },
                indent=1,
            )
        )
        return str(path)

    def key_files(self, keys: Keys) -> list[str]:
        """Write these keys into files for annexd, and return their options."""
        contents = {
            "-access-key-file": keys.access_key_id,
            "-secret-key-file": keys.secret_access_key,
            "-session-token-file": keys.session_token,
        }
        folder = Path(tempfile.mkdtemp(prefix="keys-", dir=self.pool.directory))
        given = [(option, folder / option[1:], content) for option, content in contents.items() if content]
        for _, path, content in given:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
                opened.write(content)
        return [word for option, path, _ in given for word in (option, str(path))]


def user_data() -> str:
    return base64.b64encode(TURN_OFF.encode()).decode()

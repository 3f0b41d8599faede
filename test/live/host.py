"""The host of the rehearsal: a pool of one's own with annexd in it, on this machine, and condor_annex in a shell.

annexd is started by a real condor_master and asked by the real condor_annex.  Nothing listens on any address but
127.0.0.1, and no machine of AWS joins.  The pool's folder holds annexd's AWS keys, in a file that nobody else may
read; the pool's warden removes it, also when this process is killed.
"""

import base64
import json
import os
import subprocess
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from test.live import names
from test.live.account import Keys
from test.live.pace import Pace
from test.pool import ANNEXD_CONFIG, Pool

TOOL: Final = Path(sysconfig.get_path("scripts")) / "condor_annex"
DAEMONS: Final = ("MASTER", "COLLECTOR", "SHARED_PORT", "ANNEXD")
CONFIG: Final = """
LOCAL_CONFIG_DIR = $(LOCAL_DIR)/config.d
ANNEX_MIN_LEASE = {shortest}
ANNEX_ALLOW_DEFAULT_CREDENTIALS = True
ANNEXD_ENVIRONMENT = "AWS_SHARED_CREDENTIALS_FILE={keys} AWS_CONFIG_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true"
"""
TURN_OFF: Final = "#!/bin/sh\nshutdown -h +55\n"  # each machine's own end, whatever becomes of everything else


class Host:
    """`start` it when -setup has written its file; `stop` it before anything is cleaned up."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self.pool = Pool(daemons=DAEMONS)
        self._keys = self.pool.directory / "annexd-keys"
        with self.pool.config_file.open("a") as config:
            config.write(ANNEXD_CONFIG + CONFIG.format(shortest=min(300, pace.short_lease_s), keys=self._keys))
        (self.pool.directory / "config.d").mkdir()
        # No daemon inherits the caller's keys: annexd has those of its file, and no others.
        self.pool.env = {name: value for name, value in self.pool.env.items() if not name.startswith("AWS_")}
        self.is_running = False

    @property
    def file(self) -> Path:
        """What -setup writes."""
        return self.pool.directory / "config.d" / "81annex"

    def start(self, keys: Keys) -> None:
        """Start annexd with these keys; raises PoolError."""
        self._write_keys(keys)
        self.pool.start()
        self.is_running = True

    def restart(self, keys: Keys) -> None:
        """Let annexd go on with other keys; raises PoolError."""
        self._write_keys(keys)
        before = self.pool.log("ANNEXD").count("** PID = ")
        self.pool.tool("condor_restart", "-daemon", "annexd")
        self.pool.wait_for(lambda: self.pool.log("ANNEXD").count("** PID = ") > before, "annexd to start again")
        self.pool.wait_for(lambda: self.annex("-status").returncode == 0, "annexd to answer")

    def stop(self) -> None:
        """Bounded; afterwards annexd asks for nothing any more, and its keys are gone."""
        self.is_running = False
        self.pool.stop()

    def annex(self, *arguments: str, aws: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run condor_annex; `aws` is what -setup and its kin find of AWS in their environment."""
        return self.pool.run(str(TOOL), *arguments, env=aws, timeout_s=self._pace.command_s)

    def status(self) -> list[dict[str, Any]]:
        """Return what annexd tells of its annexes."""
        told = self.annex("-status", "-json")
        return list(json.loads(told.stdout)) if told.returncode == 0 and told.stdout.strip() else []

    def config(self, run: str, image: str, instance_type: str) -> str:
        """Write a Spot Fleet request config of one small machine, as a user has one; its path."""
        tags = [{"Key": names.TAG, "Value": run}]
        specification = {
            "ImageId": image, "InstanceType": instance_type, "UserData": user_data(),
            "TagSpecifications": [{"ResourceType": "instance", "Tags": tags}],
        }
        path = self.pool.directory / "config.json"
        path.write_text(json.dumps({
            "AllocationStrategy": "lowestPrice", "TargetCapacity": 1, "Type": "request",
            "LaunchSpecifications": [specification],
            "TagSpecifications": [{"ResourceType": "spot-fleet-request", "Tags": tags}],
        }, indent=1))
        return str(path)

    def _write_keys(self, keys: Keys) -> None:
        """Under a name that nobody else could have opened before."""
        lines = ["[default]", f"aws_access_key_id = {keys.access_key_id}",
                 f"aws_secret_access_key = {keys.secret_access_key}"]
        lines += [f"aws_session_token = {keys.session_token}"] if keys.session_token else []
        self._keys.unlink(missing_ok=True)
        number = os.open(self._keys, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "w") as opened:
            opened.write("\n".join(lines) + "\n")


def user_data() -> str:
    return base64.b64encode(TURN_OFF.encode()).decode()

"""A site whose annexes join the pool: a real pool, an emulated AWS that enforces IAM, and instances that really boot.

An instance starts as its image would: bin/condor-annex-ec2 runs first, then HTCondor, whose configuration does not
name the pool.  Everything else comes from the annex's object.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from test.cloud import Cloud
from test.cloud.boot import Boot
from test.pool import ANNEXD_CONFIG, Pool
from test.system.site import DAEMONS, TOP, Site, beat

TEMPLATE = TOP / "templates" / "annex.json"
STACK = "HTCondorAnnex"
KNOBS = {
    "ANNEX_DEFAULT_LEASE_FUNCTION_ARN": "LeaseFunctionARN",
    "ANNEX_DEFAULT_S3_BUCKET": "BucketName",
    "ANNEX_DEFAULT_INSTANCE_PROFILE_ARN": "InstanceProfileARN",
    "ANNEX_DEFAULT_SECURITY_GROUP_ID": "SecurityGroupID",
    "ANNEX_DEFAULT_FLEET_ROLE_ARN": "FleetRoleARN",
}
POOL = f"""
include : {TOP}/config.d/80annex-machines
NEGOTIATOR_INTERVAL = 2
NEGOTIATOR_CYCLE_DELAY = 1
NEGOTIATOR_MIN_INTERVAL = 1
SCHEDD_INTERVAL = 2
"""
IMAGE = """
RELEASE_DIR = {prefix}
BIN = {htcondor.bin}
SBIN = {htcondor.sbin}
LIB = {htcondor.lib}
LIBEXEC = {htcondor.libexec}
LOCAL_DIR = $ENV(MACHINE)
LOG = $(LOCAL_DIR)/log
SPOOL = $(LOCAL_DIR)/spool
EXECUTE = $(LOCAL_DIR)/execute
LOCK = $(LOCAL_DIR)/lock
RUN = $(LOCAL_DIR)/run
LOCAL_CONFIG_DIR = $(LOCAL_DIR)/config.d

SEC_TOKEN_DIRECTORY = $(LOCAL_DIR)/tokens.d
SEC_PASSWORD_DIRECTORY = $(LOCAL_DIR)/no-passwords.d
NETWORK_INTERFACE = 127.0.0.1
BIND_ALL_INTERFACES = False
NO_DNS = True
DEFAULT_DOMAIN_NAME = ec2.internal
RUNBENCHMARKS = False
ANNEX_SHUTDOWN_PROGRAM = $(LOCAL_DIR)/bin/poweroff
"""
# On AWS, a machine's hardware follows from its instance type; here, from its offer.
START = """
mkdir -p log spool execute lock run
offer=$(sed -n 's/^AnnexOffer = "\\(.*\\)"$/\\1/p' config.d/*)
test ! -f "$1/$offer" || cp "$1/$offer" config.d/99hardware
exec "$0" -f
"""


def image(
    pool: Pool, machines: int, *more: str, hardware: Mapping[str, str] | None = None, ports: Sequence[int] = ()
) -> Boot:
    """Return an image with the pool's HTCondor; at most `machines` instances boot at one time, with the options `more`.

    `hardware` is, by offer, the configuration of the hardware that a machine detects; without it, that is this host's.
    `ports` are those of other pools that the machines reach.
    """
    htcondor, folder, found = pool.htcondor, pool.directory / "machines", pool.directory / "hardware"
    folder.mkdir()
    found.mkdir()
    for offer, config_of_it in (hardware or {}).items():
        (found / offer).write_text(config_of_it)
    config = pool.directory / "image_config"
    config.write_text(IMAGE.format(htcondor=htcondor, prefix=htcondor.sbin.parent))
    return Boot(
        command=("/bin/sh", "-c", START, str(htcondor.executable("condor_master")), str(found)),
        options=("--patience=30", *more),
        environment={"CONDOR_CONFIG": str(config), "HOME": "{machine}"},
        ports=(pool.port, *ports),
        directory=str(folder),
        maximum=machines,
    )


class JoiningSite(Site):
    """`with JoiningSite() as site:`; each instance becomes a machine of the pool."""

    def __init__(
        self,
        extra_config: str = "",
        *,
        speed: float = 0.0,
        machines: int = 2,
        options: tuple[str, ...] = (),
        hardware: Mapping[str, str] | None = None,
        ports: Sequence[int] = (),
    ) -> None:
        config = f"{ANNEXD_CONFIG}\n{POOL}\nANNEX_MIN_LEASE = 1\n{extra_config}"
        self.pool = Pool(config, daemons=(*DAEMONS, "NEGOTIATOR"))
        self.cloud = Cloud(
            speed=speed,
            termination_s=0.5,
            enforce_iam=True,
            boot=image(self.pool, machines, *options, hardware=hardware, ports=ports),
            behaviour={"logs_late_s": 0.0},
        )
        self.public_key_file, self.secret_key_file = self.key_files()

    def __enter__(self) -> Self:
        self.cloud.start()
        self.set_up()
        self.pool.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            sys.stdout.write(
                "\n".join(
                    f"--- {file}\n{file.read_text(errors='replace')[-3000:]}"
                    for file in [self.pool.directory / "log" / "AnnexdLog", *self._machines_logs()]
                    if file.is_file()
                )
            )
        self.cloud.stop()
        self.pool.stop()

    def set_up(self) -> None:
        """Create the stack that `condor_annex -setup` creates, and configure its outputs."""
        self.arn = self.cloud.deploy_template(TEMPLATE, STACK)
        [stack] = self.cloud.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        knobs = {
            f"ANNEX_DEFAULT_{service}_URL": self.cloud.url for service in ("EC2", "LAMBDA", "S3", "SSM", "STS", "LOGS")
        }
        knobs |= {knob: outputs[output] for knob, output in KNOBS.items()}
        with self.pool.config_file.open("a") as config:
            config.writelines(f"{knob} = {value}\n" for knob, value in knobs.items())
        beat(self.cloud, self.arn)

    def machines(self) -> list[Path]:
        """Return the folders of all machines that ever existed."""
        return sorted((self.pool.directory / "machines").glob("i-*"))

    def slots(self, *attributes: str) -> list[list[str]]:
        """Return the name and these attributes of each slot in the collector."""
        said = self.pool.tool("condor_status", "-af:t", "Name", *attributes).stdout
        return [line.split("\t") for line in said.splitlines() if line]

    def objects(self) -> list[str]:
        s3 = self.cloud.client("s3")
        [bucket] = [each["Name"] for each in s3.list_buckets()["Buckets"]]
        return [each["Key"] for each in s3.list_objects_v2(Bucket=bucket).get("Contents", ())]

    def submit(self, name: str, script: str, *more: str) -> Path:
        """Submit a job as this user; return the file of its output."""
        output = self.pool.directory / f"{name}.out"
        lines = [
            "executable = /bin/sh",
            "transfer_executable = false",
            f"arguments = \"-c '{script}'\"",
            f"output = {output}",
            f"error = {output.with_suffix('.err')}",
            f"log = {output.with_suffix('.log')}",
            "should_transfer_files = yes",
            "request_memory = 32",
            "request_disk = 10M",
            *more,
            "queue",
        ]
        file = self.pool.directory / f"{name}.sub"
        file.write_text("\n".join(lines))
        done = self.pool.tool("condor_submit", str(file))
        assert done.returncode == 0, done.stderr
        return output

    def output_of(self, output: Path, timeout_s: float = 60.0) -> str:
        def there() -> str:
            finished = output.exists() and "Job terminated" in output.with_suffix(".log").read_text()
            return output.read_text() if finished else ""

        return self.wait(there, f"the output of a job in {output}", timeout_s)

    def _machines_logs(self) -> list[Path]:
        names = ("init.log", "boot.log", "command.log", "log/MasterLog", "log/StartLog")
        return [machine / name for machine in self.machines() for name in names]

"""Write the file for HTCondor's config.d that names what -setup created, for annexd and condor_annex.

annexd has one default region, so the file has one too: the first that was set up.  Every other region has a local name
in it, for its own annexd: HTCondor prefers NAME.KNOB to KNOB in a daemon with that local name.
Its block defines everything that such an annexd needs, so that one line in the administrator's own file starts it:
condor_master exits, and the pool with it, when DAEMON_LIST has an undefined daemon (EXCEPT in
condor_master.V6/masterDaemon.cpp, "Must have the path to ... defined").  The path is defined even without 80annexd:
condor_master only retries a missing program.
Every change rewrites the whole file.
"""

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from annexd.account.errors import AccountError, UnusableFile
from annexd.account.session import Session

NAME: Final = "81annex"  # read after 80annexd
MARK: Final = "# Written by condor_annex -setup, and removed by -teardown: put your own changes into another file."
OUTPUTS: Final = {  # outputs of the stack, by knob
    "ANNEX_DEFAULT_LEASE_FUNCTION_ARN": "LeaseFunctionARN",
    "ANNEX_DEFAULT_S3_BUCKET": "BucketName",
    "ANNEX_DEFAULT_INSTANCE_PROFILE_ARN": "InstanceProfileARN",
    "ANNEX_DEFAULT_SECURITY_GROUP_ID": "SecurityGroupID",
    "ANNEX_DEFAULT_FLEET_ROLE_ARN": "FleetRoleARN",
    "ANNEX_DEFAULT_SUBNET_IDS": "SubnetIDs",
}
WITHOUT_OUTPUT: Final = {"ANNEX_DEFAULT_SUBNET_IDS": "default"}  # never omitted: the default region's would apply
SERVICES: Final = {  # services, by knob
    "ANNEX_DEFAULT_EC2_URL": "ec2",
    "ANNEX_DEFAULT_LAMBDA_URL": "lambda",
    "ANNEX_DEFAULT_LOGS_URL": "logs",
    "ANNEX_DEFAULT_S3_URL": "s3",
    "ANNEX_DEFAULT_SSM_URL": "ssm",
    "ANNEX_DEFAULT_STS_URL": "sts",
}
KNOBS: Final = (*SERVICES, *OUTPUTS)
VALUE: Final = re.compile(r"[A-Za-z0-9:/._+=,@-]{1,2048}")  # URLs, ARNs and names; no macro, no second line
LINE: Final = re.compile(r"(?:ANNEXD_(?P<region>[A-Z0-9_]+)\.)?(?P<knob>ANNEX_DEFAULT_[A-Z0-9_]+) = (?P<value>\S+)")
DAEMON: Final = """\
# To start it, put this line into your own configuration file, and run condor_restart -daemon master:
#   DAEMON_LIST = $(DAEMON_LIST) {name}
{name} = $(ANNEXD:$(SBIN)/condor_annexd)
if defined DC_DAEMON_LIST
  DC_DAEMON_LIST = $(DC_DAEMON_LIST) {name}
else
  DC_DAEMON_LIST = +{name}
endif
{name}.ANNEXD_NAME = annexd-{region}
{name}.ANNEXD_LOG = $(LOG)/AnnexdLog.{region}
{name}.ANNEXD_ADDRESS_FILE = $(LOG)/.annexd_address.{region}
{name}.ANNEXD_COMMAND_STATE = $(ANNEXD_COMMAND_STATE:$(SPOOL)/annexd_command_state).{region}
VALID_SPOOL_FILES = $(VALID_SPOOL_FILES), annexd_command_state*
"""
HEADING: Final = re.compile(r"# Region (?P<region>[a-z0-9-]+)(?:[ :,].*)?")
STANDARD_OUTPUT: Final = "-"
WRITTEN: Final = "written"
UNCHANGED: Final = "unchanged"
REMOVED: Final = "removed"
Sections = Mapping[str, Mapping[str, str]]  # region -> knob -> value


def knobs(session: Session, region: str, outputs: Mapping[str, str]) -> dict[str, str]:
    """Return the knobs of one region.  Raises AccountError for values that are unsafe in a configuration file."""
    urls = {knob: str(session.client(service, region).meta.endpoint_url) for knob, service in SERVICES.items()}
    values = urls | {knob: outputs.get(name) or WITHOUT_OUTPUT.get(knob, "") for knob, name in OUTPUTS.items()}
    for knob, value in values.items():
        if not VALUE.fullmatch(value):
            what = f"has no output {OUTPUTS[knob]}" if knob in OUTPUTS and not value else f"gives {knob} = {value!r}"
            raise AccountError(
                f"{region}: the stack {what}: its template is not this annexd's", "run condor_annex -check-setup"
            )
    return values


def text(sections: Sections) -> str:
    """Format the file's content; the first region is the default."""
    blocks = [_block(region, values, default=i == 0) for i, (region, values) in enumerate(sections.items())]
    return "\n".join([MARK, *blocks])


def _block(region: str, values: Mapping[str, str], *, default: bool) -> str:
    name = local_name(region)
    heading = [f"# Region {region}: annexd's defaults for requests."]
    if not default:
        heading = [f"# Region {region}, for an annexd with the local name {name}.", *_daemon(region)]
    prefix = "" if default else f"{name}."
    return "\n".join([*heading, *(f"{prefix}{knob} = {values[knob]}" for knob in KNOBS), ""])


def _daemon(region: str) -> list[str]:
    """Return the settings that condor_master and HTCondor's tools need for this region's own annexd."""
    return DAEMON.format(name=local_name(region), region=region).splitlines()


def local_name(region: str) -> str:
    return f"ANNEXD_{region.upper().replace('-', '_')}"


def sections_of(content: str) -> dict[str, dict[str, str]]:
    """Parse the output of `text`.  Raises ValueError for a file that is not ours."""
    lines = content.splitlines()
    if not lines or lines[0] != MARK:
        raise ValueError("it was not written by condor_annex -setup")
    sections: dict[str, dict[str, str]] = {}
    region = ""
    ours: set[str] = set()
    for line in lines[1:]:
        if heading := HEADING.fullmatch(line):
            region = heading["region"]
            sections[region] = {}
            ours = set(_daemon(region))
        elif line in ours:
            continue
        elif (setting := LINE.fullmatch(line)) and region:
            sections[region][setting["knob"]] = setting["value"]
        elif line.strip():
            raise ValueError(f"it was changed by hand: {line[:80]!r}")
    return sections


class FileChange(NamedTuple):
    """The result for the file (written, unchanged or removed), and messages for the user."""

    action: str
    lines: list[str]


@dataclass(frozen=True)
class ConfigurationFile:
    """The configuration file; the path `-` means standard output."""

    path: str

    def check_writable(self) -> None:
        """Raise AccountError before anything is created if the file cannot be written or is not ours."""
        if self.path == STANDARD_OUTPUT:
            return
        self.sections()
        folder = Path(self.path).absolute().parent
        if not os.access(folder, os.W_OK | os.X_OK):
            state = "is not writable for you" if folder.is_dir() else "is not a folder"
            raise UnusableFile(
                f"cannot create the file {self.path}: {folder} {state}",
                "run this as HTCondor's administrator, or use -output FILE (- for standard output)",
            )

    def sections(self) -> dict[str, dict[str, str]]:
        """Return the file's sections; empty if there is no file.  Raises AccountError if it is not ours."""
        try:
            content = "" if self.path == STANDARD_OUTPUT else Path(self.path).read_text(encoding="utf-8")
            return sections_of(content) if content else {}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise UnusableFile(
                f"the file {self.path} is left unchanged: {error}",
                "move it away, or use another one with -output FILE",
            ) from error

    def settings(self) -> dict[str, str]:
        """Return the settings that HTCondor reads from it, by name."""
        sections = self.sections()
        default = next(iter(sections), "")
        return {
            knob if region == default else f"{local_name(region)}.{knob}": value
            for region, values in sections.items()
            for knob, value in values.items()
        }

    def add(self, new: Sections) -> FileChange:
        """Add these regions, and keep the default."""
        known = self.sections()
        default = next(iter(known | dict(new)))
        if known == (known | dict(new)) and self.path != STANDARD_OUTPUT:
            return FileChange(UNCHANGED, [f"{self.path} is up to date; the default region is {default}"])
        self._write(text(known | dict(new)))
        lines = [f"wrote {self._shown}; the default region is {default}", *self._next_steps(known | dict(new))]
        return FileChange(WRITTEN, lines)

    def remove(self, regions: list[str]) -> FileChange:
        """Remove these regions, and the file with the last one."""
        known = self.sections()
        left = {region: values for region, values in known.items() if region not in regions}
        if left == known:
            return FileChange(UNCHANGED, [])
        if left:
            self._write(text(left))
            message = f"wrote {self._shown} without {', '.join(regions)}; the default region is {next(iter(left))}"
        else:
            Path(self.path).unlink(missing_ok=True)
            message = f"removed {self._shown}"
        return FileChange(WRITTEN if left else REMOVED, [message, "now run condor_reconfig, so that annexd reads it"])

    @property
    def _shown(self) -> str:
        return "the configuration" if self.path == STANDARD_OUTPUT else self.path

    def _next_steps(self, sections: Sections) -> list[str]:
        steps = ["now run condor_reconfig, so that annexd reads it"]
        if self.path == STANDARD_OUTPUT:
            steps = ["save it as a file in the LOCAL_CONFIG_DIR folder, and run condor_reconfig"]
        others = list(sections)[1:]
        if others:
            names = " ".join(map(local_name, others))
            steps.append(
                f"to run an annexd for each other region ({', '.join(others)}), put "
                f"DAEMON_LIST = $(DAEMON_LIST) {names} into your own configuration file"
            )
        return steps

    def _write(self, content: str) -> None:
        """Write the file atomically, readable by everybody: it contains names, no secrets."""
        if self.path == STANDARD_OUTPUT:
            print(content, end="", flush=True)
            return
        path = Path(self.path).absolute()
        try:
            # HTCondor reads no file of config.d that begins with a dot.
            number, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            try:
                with os.fdopen(number, "w", encoding="utf-8") as opened:
                    opened.write(content)
                    os.fchmod(opened.fileno(), 0o644)
                    opened.flush()
                    os.fsync(opened.fileno())
                os.replace(temporary, path)
            except BaseException:
                os.unlink(temporary)
                raise
        except OSError as error:
            raise UnusableFile(
                f"cannot write the file {self.path}: {error.strerror}",
                "the AWS resources were created; run the same command again, or with -output FILE",
            ) from error

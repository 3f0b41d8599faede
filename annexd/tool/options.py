"""The command line, spelled as HTCondor's tools spell theirs: one dash or two, and any unambiguous beginning.

Neither argparse nor dataclasses is used: importing them costs as much as all the rest of a usage message.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from annexd.tool.errors import USAGE, ToolError

MAX_STACK_NAME: Final = 32  # the names of roles, which begin with it, may have 64 letters
SECONDS: Final = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
DURATION: Final = "a number of seconds, or of units as in 90s, 30m, 1h30m, 1.5h, 2d, 1w"


class Option(NamedTuple):
    field: str  # of Options
    value: str | None  # what stands for the value in the help; None for a flag
    help: str


OPTIONS: Final = {
    "lease-duration": Option("lease_duration_s", "SECONDS", "length of the lease; also as 30m, 1h30m, 1.5d or 1w"),
    "lease-function-arn": Option(
        "lease_function_arn", "ARN", "the function that ends the lease (ANNEX_DEFAULT_LEASE_FUNCTION_ARN)"
    ),
    "count": Option("target_capacity", "NUMBER", "target capacity, instead of the file's"),
    "access-key-file": Option("public_key_file", "FILE", "your AWS access key ID (ANNEX_DEFAULT_ACCESS_KEY_FILE)"),
    "public-key-file": Option("public_key_file", "FILE", "another name for it"),
    "secret-key-file": Option("secret_key_file", "FILE", "your AWS secret access key (ANNEX_DEFAULT_SECRET_KEY_FILE)"),
    "private-key-file": Option("secret_key_file", "FILE", "another name for it"),
    "user-data": Option("user_data", "TEXT", "user data of every instance"),
    "user-data-file": Option("user_data_file", "FILE", "the same, from a file"),
    "default-user-data": Option("default_user_data", "TEXT", "user data of instances that the file gives none"),
    "default-user-data-file": Option("default_user_data_file", "FILE", "the same, from a file"),
    "annex-name": Option("annex_name", "NAME", "what you call it: AnnexName of its slots, and a tag"),
    "owner": Option("annex_owner", "USER[,USER...]", "whose jobs it runs, instead of yours"),
    "no-owner": Option("no_owner", None, "it runs everybody's jobs"),
    "idle": Option("idle_s", "SECONDS", "an instance without work for so long ends by itself"),
    "config-dir": Option("config_dir", "DIR", "HTCondor configuration files for its instances"),
    "no-join": Option("no_join", None, "its instances are not told how to join the pool"),
    "pool": Option("pool", "HOST[:PORT]", "the collector to ask for annexd"),
    "name": Option("name", "NAME", "the annexd to use"),
    "service-url": Option("service_url", "URL", "endpoint of EC2"),
    "events-url": Option("events_url", "URL", "endpoint of EventBridge (CloudWatch Events)"),
    "lambda-url": Option("lambda_url", "URL", "endpoint of Lambda"),
    "s3-url": Option("s3_url", "URL", "endpoint of S3"),
    "sts-url": Option("sts_url", "URL", "endpoint of STS, which tells of which account your keys are"),
    "s3-bucket": Option("s3_bucket", "NAME", "bucket for what tells the instances how to join the pool"),
    "cancel": Option("cancel", "ANNEX", "end this annex now: its ID, its Spot Fleet request's, or your name for it"),
    "forcex": Option("forcex", None, "with -cancel: give up what cannot be undone (QUEUE_SUPER_USERS only)"),
    "status": Option("status", None, "the annexes that annexd knows; condor_annex -status ANNEX: one of them"),
    "setup": Option("setup", None, "make what annexes need in the AWS account"),
    "check-setup": Option("check_setup", None, "find what is amiss there, and say how to mend it"),
    "teardown": Option("teardown", None, "take it all away again"),
    "region": Option("region", "REGION", "of -setup, -check-setup and -teardown; may be given several times"),
    "profile": Option("profile", "NAME", "your profile in the AWS configuration, for these three"),
    "stack-name": Option("stack_name", "NAME", "of the CloudFormation stack (HTCondorAnnex)"),
    "max-lease": Option("max_lease_s", "SECONDS", "of -setup: the longest that any annex may live (30d); also as 7d"),
    "cut-leases": Option("cuts_leases", None, "with -max-lease: also end annexes earlier that live already"),
    "timeout": Option("timeout_s", "SECONDS", "how long to wait for annexd's answer, or for CloudFormation (15m)"),
    "output": Option("output", "FILE", "the configuration file that -setup writes (81annex in LOCAL_CONFIG_DIR)"),
    "config-file": Option("output", "FILE", "another name for it"),
    "json": Option("json", None, "print what -check-setup finds, or -status, as JSON"),
    "command-id": Option("command_id", "ID", "ask again for what became of a request that was not answered"),
    "debug": Option("debug", None, "HTCondor's debugging output (TOOL_DEBUG) on standard error"),
    "help": Option("help", None, "this text"),
    "version": Option("version", None, "the version"),
}
ACCOUNT_TASKS: Final = ("setup", "check_setup", "teardown")
STATUS_TOO: Final = ("status", "file", "json", "pool", "name", "timeout_s", "debug")
CANCEL_TOO: Final = (
    "cancel", "forcex", "public_key_file", "secret_key_file", "pool", "name", "timeout_s", "command_id", "debug",
)
ACCOUNT_WORDS: Final = "-setup, -check-setup or -teardown"
SETUP_ONLY: Final = ("max_lease_s", "cuts_leases")
ACCOUNT_ONLY: Final = ("region", "profile", "stack_name", "output", "json", *SETUP_ONLY)
ACCOUNT_TOO: Final = ("public_key_file", "secret_key_file", "target_capacity", "timeout_s", "debug")
SHORT: Final = {"n": "name"}  # as in all of HTCondor's tools
OWNERS: Final = ("annex_owner", "no_owner")
USER_DATA: Final = ("user_data", "user_data_file", "default_user_data", "default_user_data_file")


class Options(NamedTuple):
    """The command line, checked; `file` is a path or `-`."""

    file: str = ""
    lease_duration_s: int = 0
    lease_function_arn: str | None = None
    target_capacity: int | None = None
    public_key_file: str | None = None
    secret_key_file: str | None = None
    user_data: str | None = None
    user_data_file: str | None = None
    default_user_data: str | None = None
    default_user_data_file: str | None = None
    annex_name: str | None = None
    annex_owner: str | None = None
    no_owner: bool = False
    idle_s: int | None = None
    config_dir: str | None = None
    no_join: bool = False
    pool: str | None = None
    name: str | None = None
    service_url: str | None = None
    events_url: str | None = None
    lambda_url: str | None = None
    s3_url: str | None = None
    sts_url: str | None = None
    s3_bucket: str | None = None
    cancel: str | None = None
    forcex: bool = False
    status: bool = False
    setup: bool = False
    check_setup: bool = False
    teardown: bool = False
    region: tuple[str, ...] = ()
    profile: str | None = None
    stack_name: str | None = None
    max_lease_s: int | None = None
    cuts_leases: bool = False
    timeout_s: int | None = None
    command_id: str | None = None
    output: str | None = None
    json: bool = False
    debug: bool = False
    help: bool = False
    version: bool = False


def parse(arguments: Sequence[str]) -> Options:
    """The options, or ToolError with all faults at once; with -help or -version no fault counts."""
    faults: list[str] = []
    values = _read(arguments, faults)
    if "help" in values or "version" in values:
        return Options(help="help" in values, version="version" in values, debug="debug" in values)
    converted = {field: _converted(field, values[field], faults) for field in values}
    faults += _faults_of_all(values)
    if faults:
        raise ToolError(USAGE, *faults)
    return Options(**converted)


def _read(arguments: Sequence[str], faults: list[str]) -> dict[str, Any]:
    """Text by field; flags are True."""
    values: dict[str, Any] = {}
    files: list[str] = []
    misread = False
    rest = deque(arguments)
    while rest:
        argument = rest.popleft()
        if not is_option(argument):
            files.append(argument)
            continue
        argument, equals, value = argument.partition("=")
        if name := full_name(argument, faults):
            _take(name, deque([value]) if equals else rest, values, faults, is_attached=bool(equals))
        else:
            misread = True
    if len(files) > 1 and not misread:  # else one may be the value of what was no option
        faults.append(f"one request is one file, not {len(files)}: {', '.join(files)}")
    if files or misread:
        values["file"] = files[0] if files else ""
    return values


def _take(
    name: str, rest: deque[str], values: dict[str, Any], faults: list[str], *, is_attached: bool
) -> None:
    """Set the field of the option `name`, whose value is the first of the rest; is_attached: as in -name=value."""
    field, value, _ = OPTIONS[name]
    if value is None:
        values[field] = True
        if is_attached:
            faults.append(f"-{name} takes no value")
    elif not rest or (is_option(rest[0]) and not is_attached):
        faults.append(f"-{name} needs a value: {value}")
        values.setdefault(field, None)
    elif field in REPEATED:
        values[field] = (*(values.get(field) or ()), rest.popleft())
    else:
        if values.get(field) is not None:
            faults.append(f"-{name} is given twice{_by_another_name(name)}")
        values[field] = rest.popleft()


def is_option(argument: str) -> bool:
    return argument.startswith("-") and argument != "-" and not argument[1:].isdigit()


def full_name(argument: str, faults: list[str]) -> str | None:
    """The option that an argument begins or is; of -user-data and -user-data-file, -user is the first."""
    given = argument.removeprefix("-").removeprefix("-")
    if given in SHORT:
        return SHORT[given]
    fitting = sorted((name for name in OPTIONS if given and name.startswith(given)), key=len)
    if not fitting:
        faults.append(f"there is no option {argument}")
    elif not all(name.startswith(fitting[0]) for name in fitting) and len({OPTIONS[n].field for n in fitting}) > 1:
        faults.append(f"{argument} may be {', '.join('-' + name for name in fitting)}")
    else:
        return fitting[0]
    return None


def _by_another_name(name: str) -> str:
    others = [f"-{other}" for other in OPTIONS if other != name and OPTIONS[other].field == OPTIONS[name].field]
    return f" ({others[0]} is the same)" if others else ""


def _faults_of_all(values: dict[str, Any]) -> list[str]:
    if any(field in values for field in ACCOUNT_TASKS):
        return _faults_of_task(values)
    if "status" in values:
        return _foreign(values, STATUS_TOO, "-status") + _faults_of_annex(values)
    if "cancel" in values:
        return _foreign(values, CANCEL_TOO, "-cancel")
    return _missing(values) + _excluding(values)


def _faults_of_annex(values: dict[str, Any]) -> list[str]:
    """Of -status, where it stands in the file's place."""
    try:
        _annex(values.get("file") or "any")
    except ValueError as error:
        return [f"what follows -status must be {error}, not {values['file']!r}"]
    return []


def _foreign(values: dict[str, Any], known: Sequence[str], task: str) -> list[str]:
    given = [_spelled(field) if field != "file" else values["file"] for field in values if field not in known]
    return [f"{each} is no matter of {task}'s" for each in given if each]


def _faults_of_task(values: dict[str, Any]) -> list[str]:
    """Of -setup, -check-setup and -teardown, which take neither a file nor what is a request's."""
    tasks = [_spelled(field) for field in ACCOUNT_TASKS if field in values]
    faults = [f"{' and '.join(tasks)} exclude each other"] if len(tasks) > 1 else []
    faults += _foreign(values, (*ACCOUNT_TASKS, *ACCOUNT_ONLY, *ACCOUNT_TOO), tasks[0])
    if "setup" not in values:
        faults += [f"{_spelled(field)} goes with -setup" for field in SETUP_ONLY if field in values]
    if "cuts_leases" in values and "max_lease_s" not in values:
        faults.append("-cut-leases goes with -max-lease")
    keys = [_spelled(field) for field in ("public_key_file", "secret_key_file") if field in values]
    if len(keys) == 1:
        faults.append(f"{keys[0]} alone will not do: AWS keys are an ID and a secret, in a file each")
    if keys and "profile" in values:
        faults.append("-profile and key files exclude each other")
    return faults


def _spelled(field: str) -> str:
    return "-" + next(name for name in OPTIONS if OPTIONS[name].field == field)


def _missing(values: dict[str, Any]) -> list[str]:
    faults = [
        f"{_spelled(field)} goes with {'-check-setup or -status' if field == 'json' else ACCOUNT_WORDS}"
        for field in ACCOUNT_ONLY if field in values
    ]
    if "forcex" in values:
        faults.append("-forcex goes with -cancel")
    if "lease_duration_s" not in values:
        faults.append("-lease-duration is missing: say for how long you want the instances")
    if "file" not in values:
        faults.append("the file is missing: the Spot Fleet request's JSON config, or - for standard input")
    return faults


def _excluding(values: dict[str, Any]) -> list[str]:
    """Of each of these groups one at most."""
    groups = [[field for field in group if field in values] for group in (USER_DATA, OWNERS)]
    return [f"{' and '.join(map(_spelled, given))} exclude each other" for given in groups if len(given) > 1]


def _converted(field: str, value: Any, faults: list[str]) -> Any:
    convert = CONVERSIONS.get(field)
    if convert is None or value is None:
        return value
    try:
        return convert(value)
    except ValueError as error:
        name = next(name for name in OPTIONS if OPTIONS[name].field == field)
        faults.append(f"-{name} must be {error}, not {value!r}")
        return None


def _duration_s(text: str) -> int:
    """Read seconds, or numbers with units, the larger unit first.  Raises ValueError with DURATION."""
    if text.isascii() and text.isdigit():
        return _positive(text, DURATION)
    total_s, number, units = 0.0, "", list(SECONDS)
    for letter in text:
        if letter in units and _is_number(number):
            total_s += float(number) * SECONDS[letter]
            units, number = units[units.index(letter) + 1 :], ""
        else:
            number += letter
    if number or not 1 <= total_s < 10**18:
        raise ValueError(DURATION)
    return round(total_s)


def _is_number(text: str) -> bool:
    """Whether these are digits, with digits behind a dot perhaps."""
    whole, dot, rest = text.partition(".")
    return text.isascii() and whole.isdigit() and (rest.isdigit() if dot else True) and len(text) <= 18


def _count(text: str) -> int:
    return _positive(text, "a number above 0")


def _positive(text: str, words: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and int(text) > 0):
        raise ValueError(words)
    return int(text)


def _regions(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Each once; a region is part of the names of AWS's hosts."""
    for text in texts:
        parts = text.split("-")
        words = all(part.isascii() and part.isalpha() and part.islower() for part in parts[:-1])
        if len(parts) < 3 or not (words and parts[-1].isascii() and parts[-1].isdigit()):
            raise ValueError("a region of AWS's, as us-east-1")
    return tuple(dict.fromkeys(texts))


def _stack_name(text: str) -> str:
    plain = text.replace("-", "")
    if not (text[:1].isalpha() and plain.isascii() and plain.isalnum() and len(text) <= MAX_STACK_NAME):
        raise ValueError(f"a name of letters, digits and - that begins with a letter, at most {MAX_STACK_NAME} of them")
    return text


def _annex(text: str) -> str:
    plain = all(letter.isalnum() or letter in "._-" for letter in text) and text.isascii()
    if not (plain and text[:1].isalnum() and len(text) <= 128):
        raise ValueError("an annex's ID, its Spot Fleet request's ID or your name for it")
    return text


def _url(text: str) -> str:
    if not text.startswith(("https://", "http://")):
        raise ValueError("a URL that begins with https://")
    return text


def _name(text: str) -> str:
    """HTCondor's bindings put it into an expression as it is."""
    if not text or not text.isprintable() or set(text) & set('"\\'):
        raise ValueError("the name of a daemon, as condor_status -subsystem annexd shows it")
    return text


def _pool(text: str) -> str:
    """HTCondor's bindings end the process at what is no address."""
    if not text or not all(letter.isalnum() or letter in "-_.:[]" for letter in text) or not text.isascii():
        raise ValueError("a host, or a host:port")
    return text


REPEATED: Final = ("region",)
def _command_id(text: str) -> str:
    known = text.isascii() and text[:1].isalnum() and all(letter.isalnum() or letter in "._:@+=/-" for letter in text)
    if not known or len(text) > 128:
        raise ValueError("a CommandID, as condor_annex told it")
    return text


CONVERSIONS: Final[dict[str, Callable[[Any], Any]]] = {
    "region": _regions,
    "stack_name": _stack_name,
    "max_lease_s": _duration_s,
    "timeout_s": _duration_s,
    "command_id": _command_id,
    "cancel": _annex,
    "lease_duration_s": _duration_s,
    "idle_s": _duration_s,
    "s3_url": _url,
    "sts_url": _url,
    "target_capacity": _count,
    "service_url": _url,
    "events_url": _url,
    "lambda_url": _url,
    "name": _name,
    "pool": _pool,
}

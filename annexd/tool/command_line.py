"""Parse the command line as HTCondor's tools do: one dash or two, and any unambiguous prefix."""

from collections import deque
from collections.abc import Collection, Sequence
from typing import Any, Final

from annexd.tool.errors import USAGE, ToolError
from annexd.tool.option_rules import OF_AN_ANNEX, faults_of_all
from annexd.tool.option_values import CONVERSIONS
from annexd.tool.options import OPTIONS, ToolOptions, spelled

SHORT: Final = {"n": "name", "h": "help"}  # as in all of HTCondor's tools
REPEATED: Final = ("region", "subnet_ids", "instance_types")
OPTIONAL: Final = {"goal": "joined="}  # beginning of an optional value


def parse(arguments: Sequence[str]) -> ToolOptions:
    """Return the options.  Raises ToolError with all faults at once; -help and -version ignore faults."""
    faults: list[str] = []
    values = _read(arguments, faults)
    if "help" in values or "version" in values:
        return ToolOptions(help="help" in values, version="version" in values, debug="debug" in values)
    converted = {field: _converted(field, values[field], faults) for field in values}
    faults += faults_of_all(values)
    if faults:
        raise ToolError(USAGE, *faults)
    return ToolOptions(**converted)


def _read(arguments: Sequence[str], faults: list[str]) -> dict[str, Any]:
    """Return the text of each field; flags are True."""
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
    if len(files) > 1 and not misread:  # otherwise one may be the value of an unknown option
        of_annex = any(task in values for task in OF_AN_ANNEX)
        whole = "name one budget" if "budget" in values else "name one annex" if of_annex else "one file per request"
        faults.append(f"{whole}, not {len(files)}: {', '.join(files)}")
    if files or misread:
        values["file"] = files[0] if files else None  # which may be the value of an unknown option
    return values


def _take(name: str, rest: deque[str], values: dict[str, Any], faults: list[str], *, is_attached: bool) -> None:
    """Set the field of option `name` to the first of `rest`; is_attached: as in -name=value."""
    field, value, _ = OPTIONS[name]
    if value is None:
        values[field] = True
        if is_attached:
            faults.append(f"-{name} takes no value")
    elif field in OPTIONAL and not is_attached and not (rest and rest[0].startswith(OPTIONAL[field])):
        values[field] = ""
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
    """Return the option that an argument names or abbreviates; -user means -user-data, not -user-data-file."""
    given = argument.removeprefix("-").removeprefix("-")
    if given in SHORT:
        return SHORT[given]
    fitting = sorted((name for name in OPTIONS if given and name.startswith(given)), key=len)
    if not fitting:
        faults.append(f"unknown option {argument}")
    elif not all(name.startswith(fitting[0]) for name in fitting) and len({OPTIONS[n].field for n in fitting}) > 1:
        faults.append(f"{argument} is ambiguous: {', '.join('-' + name for name in fitting)}")
    else:
        return fitting[0]
    return None


def without(arguments: Sequence[str], fields: Collection[str], *, file: bool = True) -> list[str]:
    """Return the arguments except those that set one of these fields and, with `file`, except the file."""
    kept: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, equals, _ = argument.partition("=")
        option = OPTIONS.get(full_name(name, []) or "") if is_option(argument) else None
        value = [next(rest, "")] if option and option.value and not equals else []
        if option.field not in fields if option else file:
            kept += [argument, *value]
    return kept


def _by_another_name(name: str) -> str:
    others = [f"-{other}" for other in OPTIONS if other != name and OPTIONS[other].field == OPTIONS[name].field]
    return f" ({others[0]} is the same)" if others else ""


def _converted(field: str, value: Any, faults: list[str]) -> Any:
    convert = CONVERSIONS.get(field)
    if convert is None or value is None:
        return value
    try:
        return convert(value)
    except ValueError as error:
        typed = ", ".join(value) if isinstance(value, tuple) else value
        faults.append(f"{spelled(field)} must be {error}, not {typed!r}")
        return None

"""Where annexd is: on this machine by its address file, elsewhere by the collector."""

from typing import Final

from annexd.tool import bindings
from annexd.tool.errors import COMMUNICATION, NOT_FOUND, ToolError
from annexd.tool.options import Options

MY_TYPE: Final = "Annexd"
HERE: Final = ""  # no annexd has this name
MAX_ADDRESS_BYTES: Final = 4096


def found(options: Options, whom: str | None) -> tuple[str, str]:
    """Return which annexd the options mean, and its sinful string; raises ToolError.

    `whom` is what an earlier call returned: then it is that annexd or none, since another one knows nothing of its
    commands and would carry out each of them a second time.
    """
    name = whom if options.name is None else options.name
    if name == HERE or (name is None and options.pool is None):
        if local := _local():
            return HERE, local
        if name == HERE:
            raise ToolError(NOT_FOUND, "annexd is not running on this machine")
    return _only(options.pool) if name is None else (name, _named(options.pool, name))


def _local() -> str | None:
    """From the file that annexd writes, None when there is no such file here."""
    file = bindings.param("ANNEXD_ADDRESS_FILE")
    return None if file is None else address_in(file)


def address_in(file: str) -> str | None:
    """From a file that annexd writes, None when there is no such file.  Raises ToolError for one without an address."""
    try:
        with open(file, "rb") as opened:
            lines = opened.read(MAX_ADDRESS_BYTES).decode(errors="replace").splitlines()
    except OSError:
        return None
    return _checked(lines[0].strip() if lines else "", f"ANNEXD_ADDRESS_FILE {file}")


def _named(pool: str | None, name: str) -> str:
    try:
        found = bindings.locate(pool, name)
    except bindings.HTCondorException as error:
        raise _no_collector(pool, error) from error
    if found is None:
        others = [str(ad.get("Name")) for ad in _all(pool)]
        known = f"it knows {', '.join(others)}" if others else "it knows no annexd at all"
        raise ToolError(NOT_FOUND, f"{_collector(pool)} knows no annexd named {name}; {known}")
    return _checked(found.get("MyAddress"), f"the ad of {name}")


def _only(pool: str | None) -> tuple[str, str]:
    ads = _all(pool)
    if not ads:
        raise ToolError(
            NOT_FOUND,
            f"no annexd was found: {_collector(pool)} knows none" + ("" if pool else ", and none runs here"),
            "condor_status -subsystem annexd shows those that run; -pool and -name choose one",
        )
    if len(ads) > 1:
        names = ", ".join(sorted(str(ad.get("Name")) for ad in ads))
        raise ToolError(NOT_FOUND, f"{_collector(pool)} knows several: choose one with -name: {names}")
    name = str(ads[0].get("Name"))
    return name, _checked(ads[0].get("MyAddress"), f"the ad of {name}")


def _all(pool: str | None) -> list[bindings.Ad]:
    try:
        return bindings.query(pool, f'MyType == "{MY_TYPE}"')
    except bindings.HTCondorException as error:
        raise _no_collector(pool, error) from error


def _no_collector(pool: str | None, error: Exception) -> ToolError:
    return ToolError(COMMUNICATION, f"{_collector(pool)} cannot be asked for annexd: {error}")


def _collector(pool: str | None) -> str:
    return f"the collector {pool or bindings.param('COLLECTOR_HOST') or '(COLLECTOR_HOST is not set)'}"


def _checked(sinful: object, source: str) -> str:
    if isinstance(sinful, str) and bindings.is_address(sinful):
        return sinful
    raise ToolError(NOT_FOUND, f"{source} holds no address: {str(sinful)[:80]!r}")

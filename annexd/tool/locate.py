"""Find annexd: on this machine by its address file, elsewhere through the collector."""

from typing import Final

from annexd.tool import bindings
from annexd.tool.errors import COMMUNICATION, NOT_FOUND, ToolError
from annexd.tool.options import ToolOptions

MY_TYPE: Final = "Annexd"
HERE: Final = ""  # no annexd has this name
MAX_ADDRESS_BYTES: Final = 4096


def found(options: ToolOptions, recipient: str | None) -> tuple[str, str]:
    """Return the name of the annexd that the options select, and its sinful string.  Raises ToolError.

    `recipient` is the name that an earlier call returned: then only that annexd is used, since another one does not
    know the command and would carry it out a second time.
    """
    name = recipient if options.name is None else options.name
    if name == HERE or (name is None and options.pool is None):
        if local := _local():
            return HERE, local
        if name == HERE:
            raise ToolError(NOT_FOUND, "annexd is not running on this machine")
    return _only(options.pool) if name is None else _named(options.pool, name)


def _local() -> str | None:
    """Return the address from the file that annexd writes, None when there is no such file here."""
    file = bindings.param("ANNEXD_ADDRESS_FILE")
    return None if file is None else address_in(file)


def address_in(file: str) -> str | None:
    """Return the address in a file of annexd, None if there is no file.  Raises ToolError if it has no address."""
    try:
        with open(file, "rb") as opened:
            lines = opened.read(MAX_ADDRESS_BYTES).decode(errors="replace").splitlines()
    except OSError:
        return None
    return _checked(lines[0].strip() if lines else "", f"ANNEXD_ADDRESS_FILE {file}")


def _named(pool: str | None, name: str) -> tuple[str, str]:
    """Find it by its whole name, the part before the @, or the host."""
    try:
        found = bindings.locate(pool, name)
    except bindings.HTCondorException as error:
        raise _no_collector(pool, error) from error
    if found is not None:
        return name, _checked(found.get("MyAddress"), f"the ad of {name}")
    ads = _all(pool)
    fitting = [ad for ad in ads if "@" not in name and _is_called(ad, name.lower())]
    if len(fitting) == 1:
        whole = str(fitting[0].get("Name"))
        return whole, _checked(fitting[0].get("MyAddress"), f"the ad of {whole}")
    if fitting:
        raise ToolError(NOT_FOUND, f"-name {name} is ambiguous: {_names(fitting)}; give the whole name")
    known = f"it knows {_names(ads)}" if ads else "it knows no annexd"
    raise ToolError(NOT_FOUND, f"{_collector(pool)} knows no annexd named {name}; {known}")


def _is_called(ad: bindings.Ad, name: str) -> bool:
    """Return whether `name` is the first part of an annexd's name, its host or the first label of its host."""
    first, _, host = str(ad.get("Name")).lower().partition("@")
    return name in {first, host, host.partition(".")[0]}


def _names(ads: list[bindings.Ad]) -> str:
    return ", ".join(sorted(str(ad.get("Name")) for ad in ads))


def _only(pool: str | None) -> tuple[str, str]:
    ads = _all(pool)
    if not ads:
        raise ToolError(
            NOT_FOUND,
            f"no annexd was found: {_collector(pool)} knows none" + ("" if pool else ", and none runs on this machine"),
            "condor_status -subsystem annexd lists running ones; select one with -pool and -name",
        )
    if len(ads) > 1:
        raise ToolError(NOT_FOUND, f"{_collector(pool)} knows several: select one with -name: {_names(ads)}")
    name = str(ads[0].get("Name"))
    return name, _checked(ads[0].get("MyAddress"), f"the ad of {name}")


def _all(pool: str | None) -> list[bindings.Ad]:
    try:
        return bindings.query(pool, f'MyType == "{MY_TYPE}"')
    except bindings.HTCondorException as error:
        raise _no_collector(pool, error) from error


def _no_collector(pool: str | None, error: Exception) -> ToolError:
    return ToolError(COMMUNICATION, f"{_collector(pool)} cannot be queried for annexd: {error}")


def _collector(pool: str | None) -> str:
    return f"the collector {pool or bindings.param('COLLECTOR_HOST') or '(COLLECTOR_HOST is not set)'}"


def _checked(sinful: object, source: str) -> str:
    if isinstance(sinful, str) and bindings.is_address(sinful):
        return sinful
    raise ToolError(NOT_FOUND, f"{source} contains no address: {str(sinful)[:80]!r}")

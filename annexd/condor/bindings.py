"""Call HTCondor's bindings with arguments checked by `values`.  Every function may raise Unsafe.

htcondor2.HTCondorException and classad2.ClassAdException propagate.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import classad2
import htcondor2
from htcondor2 import htcondor2_impl
from htcondor2.htcondor2_impl import (
    _negotiator_command_return,
    _negotiator_command_user_value,
    _send_generic_payload_command,
)

from annexd.condor import values
from annexd.condor.values import ANY_NAME, C_INTEGERS, KNOB, Unsafe

UNDEFINED = "Not defined"  # a daemon's reply for an empty knob (handle_config_val in daemon_core.cpp)
DAEMON_NAME = re.compile(r'[^\0-\x1f\x7f"\\\ud800-\udfff]{1,255}')  # it is inserted between quotes

SCOPE = re.compile(r"(TARGET|MY)\.", re.IGNORECASE)


class Ad(Protocol):
    """A read-only classad2.ClassAd."""

    def __iter__(self) -> Iterator[str]: ...

    def eval(self, attr: str) -> Any: ...


class Expression(Protocol):
    """A classad2.ExprTree."""

    def eval(self, scope: Ad | None = None, target: Ad | None = None) -> Any: ...


# ClassAds.


def display_ad(attributes: Mapping[str, Any], expressions: Mapping[str, str] | None = None) -> Ad:
    """Make an ad for display: unsafe characters are replaced, invalid attributes left out."""
    return _with_expressions(classad2.ClassAd(values.display_attributes(attributes)), expressions or {})


def make_ad(attributes: Mapping[str, Any], expressions: Mapping[str, str] | None = None) -> Ad:
    return _with_expressions(classad2.ClassAd(values.checked_attributes(attributes)), expressions or {})


def claims_ad(claims: Mapping[str, Any]) -> Ad:
    """Make an ad of a token's claims, with any names; of two that differ in case the last counts."""
    ad = classad2.ClassAd()
    for name, value in values.checked_attributes(claims, ANY_NAME).items():
        ad[name] = value
    found: Ad = ad
    return found


def parse_ad(text: str) -> Ad:
    """Parse the repr() of an ad."""
    ad: Ad = classad2.ClassAd(values.expression(text))
    return ad


def changed_copy(
    text: str,
    without: Sequence[str],
    expressions: Mapping[str, str],
    computed: Mapping[str, str],
    defaults: Mapping[str, str],
) -> Ad:
    """Parse the repr() of an ad and return it without some attributes and with others.

    `computed` are set to values that are computed from the unchanged ad, and not set where one is undefined; `defaults`
    are set where the ad has none.
    """
    ad: Any = parse_ad(text)
    found = {name: expression(each).eval(ad) for name, each in computed.items()}
    for name in without:
        ad.pop(name, None)
    for name, value in found.items():
        if not isinstance(value, classad2.Value):
            ad[values.name(name)] = value
    missing = {name: each for name, each in defaults.items() if name not in ad}
    return _with_expressions(ad, {**missing, **expressions})


def literals(text: str) -> dict[str, str | int | float]:
    """Return the plain values of an ad; nothing is evaluated, since a machine may have written it."""
    ad = classad2.ClassAd(values.expression(text))
    return {name: value for name in ad if (value := plain(ad.get(name))) is not None}


def _with_expressions(ad: Any, expressions: Mapping[str, str]) -> Ad:
    for name, text in expressions.items():
        ad[values.name(name)] = expression(text)
    checked: Ad = ad
    return checked


def expression(text: str) -> Expression:
    found: Expression = classad2.ExprTree(values.expression(text))
    return found


def plain(value: object) -> str | int | float | None:
    """Return a literal's value as an ad's get() gives it; None for an expression, a list or an ad."""
    is_plain = isinstance(value, str | int | float) and not isinstance(value, classad2.Value)
    return value if is_plain else None  # type: ignore[return-value]


def references(ad: Any, of: Any) -> list[str]:
    """Return the attributes, without scopes, that an expression refers to and this ad lacks."""
    found = (SCOPE.sub("", name).partition(".")[0] for name in ad.externalRefs(of))
    return [name for name in found if values.ATTRIBUTE.fullmatch(name)]


def found_in(ad: Any, name: str) -> Any:
    """Return an attribute's expression, or None: the bindings' own lookup raises KeyError for one that is missing."""
    return ad.lookup(name) if name in ad else None


def free_names(text: str) -> list[str]:
    """Return all attributes that an expression refers to."""
    return references(classad2.ClassAd(), expression(text))


def evaluated(text: str, attributes: Mapping[str, Any]) -> Any:
    """Return the value of an expression over an ad; undefined and error as classad2.Value has them."""
    return expression(text).eval(make_ad(attributes))


def reload_user_maps() -> None:
    """Reload the changed files of userMap() (SUBSYSTEM_CLASSAD_USER_MAP_NAMES).

    Bindings without that function, from HTCondor before 25, keep the first content.
    """
    reload = getattr(htcondor2, "reload_config_usermaps", None)
    if reload is not None:
        reload()


def quote(text: str) -> str:
    return str(classad2.quote(values.checked_text(text)))


# The configuration.


def param(name: str) -> str | None:
    """Return the expanded value of a knob, or None if undefined.  Raises Unsafe if it is not UTF-8."""
    if not KNOB.fullmatch(name):
        return None
    try:
        return str(htcondor2.param[name])
    except KeyError:
        return None
    except UnicodeDecodeError as error:
        raise Unsafe(f"the value of {name} is not UTF-8") from error


def knobs() -> list[str]:
    return [str(name) for name in htcondor2.param]


def set_param(name: str, text: str) -> None:
    htcondor2.param[name] = values.setting(name, text)


# The log.


def log(level: Any, text: str) -> None:
    """Write to the log.  Never raises Unsafe: the text is for display."""
    htcondor2.log(level, values.display_text(text))


# Network calls, which may block for 20 s.

GET_PRIORITY = 451  # condor_commands.h
SET_PRIORITY_FACTOR = 459
SET_CEILING = 525
_NUMBERED = re.compile(r"([A-Za-z]+)(\d{1,7})")


def send_alive(address: str, pid: int, hang_after_s: int) -> None:
    htcondor2_impl._send_alive(
        values.address(address), values.integer(pid, C_INTEGERS), values.integer(hang_after_s, C_INTEGERS)
    )


def exchange(address: str, command: int, attributes: Mapping[str, Any]) -> tuple[Any, int, str]:
    """Send an ad; return the reply ad or None, a code and an error message (see tool/bindings.py)."""
    ad = classad2.ClassAd(values.checked_attributes(attributes))
    reply, code, message = _send_generic_payload_command(
        values.address(address), values.integer(command, C_INTEGERS), ad._handle
    )
    return reply, int(code), str(message or "")


def advertise(pool: str, command: str, ads: Sequence[Ad]) -> None:
    htcondor2.Collector(values.pool(pool)).advertise(list(ads), values.name(command), True)


def ping(address: str, what: str | None) -> Any:
    return htcondor2.ping(values.address(address), None if what is None else values.name(what))


def query(pool: str | None, constraint: str, attributes: Sequence[str]) -> list[Any]:
    """Return all ads of a collector that satisfy a constraint.  pool: None means the configured one."""
    names = [values.name(each) for each in attributes]
    return list(_collector(pool).query(htcondor2.AdType.Any, values.expression(constraint), names))


def own_ad(address: str, my_type: str) -> dict[str, Any]:
    """Return the plain values of the ad of this MyType that a daemon shows of itself, as condor_status -direct does."""
    ads = htcondor2.Collector(values.address(address)).query(htcondor2.AdType.Any)
    own = [ad for ad in ads if ad.get("MyType") == my_type]
    return {name: own[0].eval(name) for name in own[0]} if own else {}


def query_kind(kind: str, pool: str, constraint: str, attributes: Sequence[str]) -> list[Any]:
    """Return the ads of one kind, a name of AdType, that satisfy a constraint, with these attributes."""
    names = [values.name(each) for each in attributes]
    return list(_collector(pool).query(htcondor2.AdType[kind], values.expression(constraint), names))


def group_jobs(address: str, constraint: str, attributes: Sequence[str], limit: int) -> list[Any]:
    """Return an ad for each combination of these attributes' values among a schedd's jobs, at most `limit`.

    The ad has JobCount, JobIds (the first and the last) and those of the job's own attributes that these values refer
    to.  The schedd applies the constraint to each job and once more to each of these ads.
    """
    schedd = htcondor2.Schedd(classad2.ClassAd({"MyAddress": values.address(address), "CondorVersion": ""}))
    names = [values.name(each) for each in attributes]
    return list(schedd.query(values.expression(constraint), names, limit=limit, opts=htcondor2.QueryOpt.GroupBy))


def job(pool: str | None, schedd: str | None, job_id: str, attributes: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Return the schedd's name and a job's attributes, expressions as text; no attributes if the schedd has no such
    job.

    `schedd` None: this host's.  Raises LookupError if the collector does not know it.
    """
    cluster, _, proc = job_id.partition(".")
    constraint = f"ClusterId == {int(cluster)} && ProcId == {int(proc)}"
    where = _collector(pool)
    kind = htcondor2.DaemonType.Schedd
    ad = where.locate(kind, values.name(schedd, DAEMON_NAME)) if schedd else where.locate(kind)
    if ad is None:
        raise LookupError(f"the collector knows no schedd {schedd or 'of this host'}")
    names = [values.name(each) for each in attributes]
    found = list(htcondor2.Schedd(ad).query(constraint, names, limit=1))
    texts = {name: plain(each.get(name)) for each in found for name in attributes if name in each}
    return str(ad.get("Name")), {
        name: str(found[0].lookup(name)) if value is None else value for name, value in texts.items()
    }


def locate(pool: str | None, name: str) -> Any:
    """Return the location ad of the generic daemon with this name, or None."""
    return _collector(pool).locate(htcondor2.DaemonType.Generic, values.name(name, DAEMON_NAME))


def locate_collector(pool: str | None) -> Any:
    """Return the location ad of the central manager's collector, or None."""
    return _collector(pool).locate(htcondor2.DaemonType.Collector)


def remote_params(address: str, names: Sequence[str]) -> dict[str, str]:
    """Return a running daemon's values of these knobs, as condor_config_val -addr shows them; omit undefined ones."""
    ad = classad2.ClassAd({"MyAddress": values.address(address)})
    knobs = htcondor2.RemoteParam(ad)
    known = {str(key).strip().upper(): key for key in knobs}
    found = {name: str(knobs[known[name.upper()]]) for name in names if name.upper() in known}
    return {name: value for name, value in found.items() if value != UNDEFINED}


def _collector(pool: str | None) -> Any:
    return htcondor2.Collector(None if pool is None else values.pool(pool))


def accounting(address: str) -> list[dict[str, Any]]:
    """Return the data of a negotiator's accountant on each user and group.

    Negotiator.getPriorities of the bindings (25.14.1) mixes up the users of lists with more than nine.
    """
    answer = _negotiator_command_return(values.address(address), GET_PRIORITY)
    found: dict[int, dict[str, Any]] = {}
    for key in answer:
        if match := _NUMBERED.fullmatch(key):
            found.setdefault(int(match[2]), {})[match[1]] = answer[key]
    return list(found.values())


def set_priority_factor(address: str, user: str, factor: float) -> None:
    """Set a user's priority factor at a negotiator; a refusal is not reported."""
    _negotiator_command_user_value(
        values.address(address), SET_PRIORITY_FACTOR, values.name(user, DAEMON_NAME), float(factor)
    )


def set_ceiling(address: str, user: str, ceiling: int) -> None:
    """Set a user's ceiling at a negotiator, -1 for none; a refusal is not reported."""
    number = values.integer(ceiling, C_INTEGERS)
    _negotiator_command_user_value(values.address(address), SET_CEILING, values.name(user, DAEMON_NAME), number)

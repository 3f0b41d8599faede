"""Every call of HTCondor's bindings that takes data, each with what `values` lets through; each may raise Unsafe.

htcondor2.HTCondorException and classad2.ClassAdException go to the caller.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import classad2
import htcondor2
from htcondor2 import htcondor2_impl
from htcondor2.htcondor2_impl import _send_generic_payload_command

from annexd.condor import values
from annexd.condor.values import ANY_NAME, C_INTEGERS, KNOB, Unsafe

UNDEFINED = "Not defined"  # what a daemon answers for an empty knob (handle_config_val in daemon_core.cpp)
MOST_OF_A_NAME = re.compile(r'[^\0-\x1f\x7f"\\\ud800-\udfff]{1,255}')  # of a daemon; it goes between quotes


class Ad(Protocol):
    """A classad2.ClassAd that is only read."""

    def __iter__(self) -> Iterator[str]: ...

    def eval(self, attr: str) -> Any: ...


class Expression(Protocol):
    """A classad2.ExprTree."""

    def eval(self, scope: Ad | None = None) -> Any: ...


# ClassAds.


def ad_to_show(attributes: Mapping[str, Any], expressions: Mapping[str, str] | None = None) -> Ad:
    """An ad for people: words are made safe, and what is no attribute is left out."""
    return _with_expressions(classad2.ClassAd(values.shown(attributes)), expressions or {})


def ad_of(attributes: Mapping[str, Any], expressions: Mapping[str, str] | None = None) -> Ad:
    return _with_expressions(classad2.ClassAd(values.same(attributes)), expressions or {})


def ad_of_claims(claims: Mapping[str, Any]) -> Ad:
    """Under any names; of two that differ in case the last one counts."""
    ad = classad2.ClassAd()
    for name, value in values.same(claims, ANY_NAME).items():
        ad[name] = value
    found: Ad = ad
    return found


def ad_in(text: str) -> Ad:
    """What repr() of an ad says."""
    ad: Ad = classad2.ClassAd(values.expression(text))
    return ad


def _with_expressions(ad: Any, expressions: Mapping[str, str]) -> Ad:
    for name, text in expressions.items():
        ad[values.name(name)] = expression(text)
    checked: Ad = ad
    return checked


def expression(text: str) -> Expression:
    found: Expression = classad2.ExprTree(values.expression(text))
    return found


def quote(text: str) -> str:
    return str(classad2.quote(values.exact(text)))


# The configuration.


def param(name: str) -> str | None:
    """The knob's expanded text; None where there is no such knob.  Unsafe if the text is no UTF-8."""
    if not KNOB.fullmatch(name):
        return None
    try:
        return str(htcondor2.param[name])
    except KeyError:
        return None
    except UnicodeDecodeError as error:
        raise Unsafe(f"the value of {name} is no text in UTF-8") from error


def knobs() -> list[str]:
    return [str(name) for name in htcondor2.param]


def set_param(name: str, text: str) -> None:
    htcondor2.param[name] = values.setting(name, text)


# The log.


def log(level: Any, text: str) -> None:
    """Never Unsafe: a line of the log is words."""
    htcondor2.log(level, values.words(text))


# Calls over the network: they may block for 20 s.


def send_alive(address: str, pid: int, hang_after_s: int) -> None:
    htcondor2_impl._send_alive(
        values.address(address), values.integer(pid, C_INTEGERS), values.integer(hang_after_s, C_INTEGERS)
    )


def exchange(address: str, command: int, attributes: Mapping[str, Any]) -> tuple[Any, int, str]:
    """Send an ad and get one: the answer or None, a number and words, as tool/bindings.py tells."""
    ad = classad2.ClassAd(values.same(attributes))
    answer, code, words = _send_generic_payload_command(
        values.address(address), values.integer(command, C_INTEGERS), ad._handle
    )
    return answer, int(code), str(words or "")


def advertise(pool: str, command: str, ads: Sequence[Ad]) -> None:
    htcondor2.Collector(values.pool(pool)).advertise(list(ads), values.name(command), True)


def ping(address: str, what: str | None) -> Any:
    return htcondor2.ping(values.address(address), None if what is None else values.name(what))


def query(pool: str | None, constraint: str, attributes: Sequence[str]) -> list[Any]:
    """All ads of a collector (None: the configuration's) that satisfy a constraint."""
    names = [values.name(each) for each in attributes]
    return list(_collector(pool).query(htcondor2.AdType.Any, values.expression(constraint), names))


def locate(pool: str | None, name: str) -> Any:
    """The location ad of the generic daemon of this name, or None."""
    return _collector(pool).locate(htcondor2.DaemonType.Generic, values.name(name, MOST_OF_A_NAME))


def locate_collector(pool: str | None) -> Any:
    """The location ad of the central manager's collector, or None."""
    return _collector(pool).locate(htcondor2.DaemonType.Collector)


def remote_params(address: str, names: Sequence[str]) -> dict[str, str]:
    """What a running daemon has of these knobs, as condor_config_val -addr shows it; without those it has not."""
    ad = classad2.ClassAd({"MyAddress": values.address(address)})
    knobs = htcondor2.RemoteParam(ad)
    known = {str(key).strip().upper(): key for key in knobs}
    found = {name: str(knobs[known[name.upper()]]) for name in names if name.upper() in known}
    return {name: value for name, value in found.items() if value != UNDEFINED}


def _collector(pool: str | None) -> Any:
    return htcondor2.Collector(None if pool is None else values.pool(pool))

"""Administrative commands of every HTCondor daemon: its configuration, its log, its ads.

Each handler answers as DaemonCore does (daemon_core_main.cpp), with one exception: it never evaluates what a client
sends.  A Requirements that is an expression is refused when the ad is read.
"""

import asyncio
from collections.abc import Callable, Mapping

import classad2

from annexd.authorization.pattern import UnknownPattern, compile_pattern
from annexd.cedar import commands
from annexd.condor import bindings
from annexd.daemoncore import log
from annexd.daemoncore.commands.call import Call, Handler
from annexd.daemoncore.commands.fetch_log import fetch_log
from annexd.daemoncore.commands.remote_config import HasLevel, RemoteConfig
from annexd.daemoncore.config.environment_knobs import redacted
from annexd.daemoncore.config.parameters import param
from annexd.daemoncore.config.sources import Source, names_by_file, source_of
from annexd.daemoncore.process.semaphore import Semaphore

NOT_DEFINED = "Not defined"
SUMMARY = ".*|.summary"  # condor_config_val -summary asks for this pattern
LONGEST_PATTERN = 200  # of ?names
PATTERN_BYTES = 32 * 1024  # the largest such patterns take 0.1 s for a thousand names
PATTERNS_WAITING = 20  # queries that wait while one is searched

_searching = Semaphore(1)


class Administration:
    """Handlers by command number.

    `ads` returns the daemon's current ads; `signals` maps the numbers that DC_RAISESIGNAL may send to actions;
    `has_level`: see RemoteConfig.
    """

    def __init__(
        self, ads: Callable[[], list[bindings.Ad]], signals: Mapping[int, Callable[[], None]], has_level: HasLevel
    ) -> None:
        self._ads = ads
        self._remote_config = RemoteConfig(has_level)
        self._signals = signals

    def handlers(self) -> Mapping[int, Handler]:
        return {
            commands.CONFIG_VAL: config_val,
            commands.DC_CONFIG_VAL: dc_config_val,
            commands.DC_CONFIG_PERSIST: self._remote_config.handle,
            commands.DC_CONFIG_RUNTIME: self._remote_config.handle,
            commands.DC_FETCH_LOG: fetch_log,
            commands.DC_PURGE_LOG: purge_log,
            commands.DC_TIME_OFFSET: time_offset,
            commands.DC_RAISESIGNAL: self._raise_signal,
            commands.QUERY_GENERIC_ADS: self._query,
            commands.QUERY_ANY_ADS: self._query,
        }

    def _query(self, call: Call) -> None:
        """Send one message: 1 and an ad for each of the daemon's ads, then 0."""
        query = call.payload()
        asked = query.handshake_ad()
        query.end()
        answer = call.connection.message()
        for ad in self._ads() if asked.get("requirements") in (None, True) else []:
            answer.integer(1).ad({name: value for name in ad if is_scalar(value := ad.eval(name))})
        call.connection.reply(answer.integer(0))

    def _raise_signal(self, call: Call) -> None:
        """Act on a signal number, which HTCondor shares with Unix."""
        message = call.payload()
        number = message.integer()
        message.end()
        log.always(f"Got signal {number} (DC_RAISESIGNAL) from {call.received.identity.user}")
        if number in self._signals:
            self._signals[number]()


def is_scalar(value: object) -> bool:
    return isinstance(value, bool | int | float | str) and not isinstance(value, classad2.Value)


def config_val(call: Call) -> None:
    """Answer CONFIG_VAL: a name with its value, or `Not defined`."""
    name = _name_in(call)
    call.connection.reply(call.connection.message().string(redacted(name, param(name) or NOT_DEFINED)))


async def dc_config_val(call: Call) -> None:
    """Answer DC_CONFIG_VAL with value, `NAME = raw`, source, default and use count, or with names for ?names."""
    name = _name_in(call)
    answer = call.connection.message()
    if name.startswith("?"):
        for word in await _names(name):
            answer.string(word)
    elif (value := param(name)) is None:
        answer.nullable_string(None)
    else:
        source = await source_of(name) or Source(f"{name.upper()} = {value}", "<Unknown>")
        default = None if source.default is None else redacted(name, source.default)
        answer.nullable_string(redacted(name, value)).string(redacted(name, source.raw)).string(source.place)
        answer.nullable_string(default)
        answer.string("1")
    call.connection.reply(answer)


def _name_in(call: Call) -> str:
    message = call.payload()
    name = message.string()
    message.end()
    return name


async def _names(question: str) -> list[str]:
    command, _, pattern = question.partition(":")
    if not "?names".startswith(command) or len(command) < 2:
        return [f"!error:unsup:1: '{question}' is not supported"]
    if pattern.startswith(SUMMARY) and (summary := await names_by_file()):
        return summary
    if _searching.waiting >= PATTERNS_WAITING:
        return ["!error:busy:1: too many concurrent ?names queries: try again later"]
    async with _searching:
        return await asyncio.to_thread(_names_matching, pattern or ".*")


def _names_matching(pattern: str) -> list[str]:
    if len(pattern) > LONGEST_PATTERN:
        return [f"!error:regex:{LONGEST_PATTERN}: the pattern is too long"]
    try:
        wanted = compile_pattern(pattern, ignore_case=True, max_bytes=PATTERN_BYTES)
    except UnknownPattern as error:
        return [f"!error:regex:1: the pattern is not supported: {error}"]
    found = [name for name in bindings.knobs() if wanted.search(name)]
    return sorted(found, key=str.lower) or [""]


def purge_log(call: Call) -> None:
    """Answer DC_PURGE_LOG with 0; only a startd has a history to purge."""
    message = call.payload()
    message.integer()
    message.end()
    call.connection.reply(call.connection.message().integer(0))


def time_offset(call: Call) -> None:
    """Read DC_TIME_OFFSET's message and send no answer, as the daemons of HTCondor 25."""
    call.payload()

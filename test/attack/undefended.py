"""Check that the tests detect each missing defence: remove it from a copy of annexd, where its test must fail.

    python -m test.attack.undefended [WORD...]      all of DEFENCES, or those with one of these words; ten minutes

A defence whose code is not found is an error.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

TOP = Path(__file__).resolve().parents[2]
COPIED = ("annexd", "test", "docs", "lambda", "templates", "pyproject.toml", "setup.cfg")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "corpus")
PATIENCE_S = 120


@dataclass(frozen=True)
class Defence:
    """Replace `text` by `instead` in annexd/`file`; then `test` (an argument of -k) in test/`of` must fail."""

    name: str
    file: str
    text: str
    instead: str
    test: str
    of: str = "attack/test_attack.py"


DEFENCES = (
    Defence("frames of a message", "cedar/channel.py", "self._check_frame_count()", "pass", "many_chains"),
    Defence("size of a message", "cedar/channel.py", "self._check_size(length)", "pass", "endless_chains and five"),
    Defence(
        "connections without a command",
        "daemoncore/network/pending_connections.py",
        "while self._count >= limit:",
        "while False:",
        "half_open",
    ),
    Defence(
        "descriptors",
        "daemoncore/network/pending_connections.py",
        "max(1, min(max_pending, _descriptors() // SHARE_OF_DESCRIPTORS))",
        "max_pending",
        "descriptors",
    ),
    Defence(
        "new connections are accepted",
        "daemoncore/network/pending_connections.py",
        """while self._count >= limit:
            self._evict_one(f"evicted by a newer connection ({knob('MAX_PENDING_CONNECTIONS')} is {max_pending})")
""",
        """if self._count >= limit:
            pending.close("refused")
            return
""",
        "flood_of_new",
    ),
    Defence(
        "the busiest address is evicted",
        "daemoncore/network/pending_connections.py",
        "max(self._by_host.values(), key=len)",
        "next(iter(self._by_host.values()))",
        "slow_client",
    ),
    Defence(
        "an IPv6 machine's addresses count as one",
        "daemoncore/network/pending_connections.py",
        'if ":" not in address:',
        "if True:",
        "one_ipv6_network",
        "daemoncore/test_pending_connections.py",
    ),
    Defence(
        "patterns of names in linear time",
        "daemoncore/commands/administration.py",
        "wanted = compile_pattern(pattern, ignore_case=True, max_bytes=PATTERN_BYTES)",
        "wanted = __import__('re').compile(pattern, 2)",
        "patterns_of_names",
    ),
    Defence(
        "how large a pattern may become",
        "daemoncore/commands/administration.py",
        ", max_bytes=PATTERN_BYTES",
        "",
        "patterns_of_names",
    ),
    Defence(
        "tools at once",
        "daemoncore/config/sources.py",
        "MAX_CHILDREN, MAX_WAITING = 2, 20",
        "MAX_CHILDREN, MAX_WAITING = 100, 20",
        "start_two_tools",
    ),
    Defence(
        "tools waited for",
        "daemoncore/config/sources.py",
        "if _children.waiting >= MAX_WAITING:",
        "if False:",
        "start_two_tools",
    ),
    Defence(
        "a line that sets a knob",
        "daemoncore/config/runtime_config.py",
        "\\s*+=\\s*+",
        "\\s*=\\s*",
        "linear",
        "daemoncore/test_files.py",
    ),
    Defence(
        "a mapped address is that of IPv4",
        "authorization/network.py",
        "network.subnet_of(MAPPED)",
        "False",
        "ipv4_mapped",
        "authorization/test_policy.py",
    ),
    Defence(
        "no pid through a link",
        "daemoncore/process/pid_file.py",
        "os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW",
        "os.O_WRONLY | os.O_CREAT",
        "not_written_through",
        "daemoncore/test_files.py",
    ),
    Defence(
        "silent connections time out",
        "daemoncore/network/pending_connections.py",
        "elif now_s >= pending.silent_until_s:",
        "elif False:",
        "dripping",
    ),
    Defence(
        "connections time out",
        "daemoncore/network/pending_connections.py",
        "if now_s >= pending.ends_at_s:",
        "if False:",
        "dripping",
    ),
    Defence(
        "names have threads of their own",
        "daemoncore/network/server.py",
        "verdicts.put(key, verdict)), RESOLVER",
        "verdicts.put(key, verdict))",
        "name_server",
        "daemoncore/test_server.py",
    ),
    Defence("a method is tried once", "cedar/authentication.py", "left.remove(pick)", "pass", "fails_repeatedly"),
    Defence(
        "the key is proved before any command",
        "cedar/resumption.py",
        """
        _refuse_without_proof(dialogue, client, command)
""",
        """
        return command, None
""",
        "no_command",
    ),
    Defence(
        "naming a session does not use it",
        "cedar/session.py",
        "return found if found",
        "return (self.renew(found, now_s), found)[1] if found",
        "id_alone and DC_RECONFIG",
        "cedar/test_resumption.py",
    ),
    Defence(
        "the key is proved before authorization",
        "cedar/resumption.py",
        """
    payload = yield from _proof(dialogue, session)
    if not (yield from is_authorized(dialogue, command)):
        deny(dialogue, command)
""",
        """
    dialogue.set_identity(session.identity)
    if not (yield from is_authorized(dialogue, command)):
        deny(dialogue, command)
    payload = yield from _proof(dialogue, session)
""",
        "id_alone and CONFIG_VAL",
        "cedar/test_resumption.py",
    ),
    Defence(
        "unguessable ids",
        "cedar/session.py",
        "self._random_hex(ID_BYTES)",
        "len(self):032d",
        "guess",
        "cedar/test_session.py",
    ),
    Defence(
        "a session is for commands with a message",
        "cedar/handshake.py",
        "if can_be_resumed_for(known, cipher)\n",
        "if True\n",
        "do_nothing",
        "cedar/test_resumption.py",
    ),
    Defence(
        "legacy sessions are for one connection",
        "cedar/handshake.py",
        "(command.payload and cipher == AES)",
        "command.payload",
        "one_connection",
        "cedar/test_legacy.py",
    ),
    Defence(
        "a fresh nonce for each resumption",
        "cedar/resumption.py",
        "dialogue.context.random(_NONCE_BYTES)",
        "bytes(_NONCE_BYTES)",
        "replayed",
    ),
    Defence(
        "a session ID alone raises no limit",
        "cedar/dialogue.py",
        """        if identity.named:
""",
        """        if identity.named:
            self.channel.max_message_bytes = self.context.limits.command_message_bytes
""",
        "replayed",
    ),
    Defence("number of sessions", "cedar/session.py", "while len(full) > capacity:", "while False:", "more_sessions"),
    Defence(
        "unnamed sessions have their own partition",
        "cedar/session.py",
        "self._named if session.identity.named else self._unnamed",
        "self._named",
        "more_sessions",
    ),
    Defence("depth of an ad", "cedar/classad.py", "if depth == 0:", "if False:", "bombs"),
    Defence("values of an ad", "cedar/classad.py", "if self._left < 0:", "if False:", "bombs"),
    Defence("rounds of TLS", "cedar/tls.py", "_MAX_ROUNDS = 16", "_MAX_ROUNDS = 10**6", "rounds", "cedar/test_tls.py"),
    Defence(
        "MD5 of a frame",
        "cedar/legacy.py",
        "if not hmac.compare_digest(",
        "if False and not hmac.compare_digest(",
        "does_not_verify",
        "cedar/test_legacy.py",
    ),
    Defence(
        "the deadline of a call",
        "aws/bounds.py",
        "self._at_s = time.monotonic() + left_s",
        "self._at_s = time.monotonic() + left_s + 60",
        "byte_by_byte",
        "aws/test_bounds.py",
    ),
    Defence(
        "the size of an answer",
        "aws/bounds.py",
        "if len(body) > self._max_bytes:",
        "if False:",
        "sixty",
        "aws/test_bounds.py",
    ),
    Defence("the parts of an answer", "aws/bounds.py", "> max_items:", "> 10**9:", "small_parts", "aws/test_bounds.py"),
    Defence(
        "an answer's shape",
        "annex/translate_aws_errors.py",
        "if errors.is_shape_error(error):",
        "if False:",
        "a_look",
        "annex/test_strange_answers.py",
    ),
    Defence(
        "accounts side by side",
        "service/reconciler.py",
        "AT_ONCE: Final = 8",
        "AT_ONCE: Final = 1",
        "never_end",
        "service/test_reconciler.py",
    ),
    Defence(
        "a fault affects one account only",
        "service/reconciler.py",
        "except Exception as error:  # noqa: BLE001  the edge of one account's work",
        "except KeyError as error:  #",
        "internal_error_at_one_account",
        "service/test_reconciler.py",
    ),
    Defence(
        "lent keys in a request",
        "annex/request/request.py",
        'own.faults += faults_of_lent_request(endpoints, arn, own.value("S3Bucket") or None, defaults)',
        "pass",
        "lent_keys_serve",
        "annex/test_request.py",
    ),
    Defence(
        "lent keys when they are used",
        "annex/fleet/access.py",
        "if faults := faults_of_endpoints(endpoints, self._defaults):",
        "if faults := []:",
        "configured_now",
        "annex/test_access.py",
    ),
    Defence(
        "whose clock is trusted",
        "aws/traffic.py",
        "if is_aws_host(url) or url in self.trusted_urls:",
        "if True:",
        "that_nobody_trusts",
        "aws/test_limiter.py",
    ),
    Defence(
        "how far a clock is trusted",
        "aws/traffic.py",
        "< abs(self._skew_s) <= MAX_SKEW_S",
        "< abs(self._skew_s)",
        "too_far_off_for_signatures",
        "aws/test_limiter.py",
    ),
    Defence(
        "characters that crash the bindings",
        "condor/values.py",
        "if found := FATAL.search(text):",
        "if found := None:",
        "no_claim",
    ),
    Defence(
        "text in the daemon's ad",
        "condor/values.py",
        "FATAL.sub(REPLACEMENT, ",
        "str(",
        "foreign_text",
        "condor/test_bindings.py",
    ),
    Defence(
        "depth of an expression",
        "condor/values.py",
        "if operators > MAX_OPERATORS:",
        "if False:",
        "fatal_or_ambiguous",
        "condor/test_bindings.py",
    ),
    Defence(
        "the right account",
        "annex/fleet/access.py",
        "if found != expected:",
        "if False:",
        "another",
        "annex/test_credentials.py",
    ),
)


def main(words: list[str]) -> int:
    chosen = [defence for defence in DEFENCES if not words or any(word in defence.name for word in words)]
    with TemporaryDirectory(prefix="annexd-undefended-") as scratch:
        copy = Path(scratch)
        _copy(copy)
        for defence in chosen:
            if (done := _runs(copy, defence)).returncode:
                raise SystemExit(f"{done.stdout}\n{defence.name}: its test fails with every defence in place")
        useless = [defence.name for defence in chosen if not _is_missed(copy, defence)]
    print(
        f"no test detects that these are missing: {', '.join(useless)}"
        if useless
        else "every missing defence is detected"
    )
    return len(useless)


def _copy(copy: Path) -> None:
    for name in COPIED:
        if (TOP / name).is_dir():
            shutil.copytree(TOP / name, copy / name, ignore=LEFT_OUT)
        else:
            shutil.copy(TOP / name, copy / name)
    if (TOP / ".cache").is_dir():
        (copy / ".cache").symlink_to(TOP / ".cache")  # for HTCondor


def _is_missed(copy: Path, defence: Defence) -> bool:
    with _without(defence, copy / "annexd" / defence.file):
        done = _runs(copy, defence)
    reason = next((line for line in done.stdout.splitlines() if line.startswith("E  ")), done.stdout[-300:])
    print(f"without {defence.name}: {reason[1:].strip()[:100]}", flush=True)
    return done.returncode == pytest.ExitCode.TESTS_FAILED


@contextmanager
def _without(defence: Defence, path: Path) -> Iterator[None]:
    text = path.read_text()
    if text.count(defence.text) != 1:
        raise SystemExit(f"{defence.name}: {defence.file} contains {defence.text!r} {text.count(defence.text)} times")
    path.write_text(text.replace(defence.text, defence.instead))
    yield
    path.write_text(text)


def _runs(copy: Path, defence: Defence) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-B",
        "-m",
        "pytest",
        "-q",
        "-n0",
        "-x",
        "-p",
        "no:cacheprovider",
        f"test/{defence.of}",
        "-k",
        defence.test,
    ]
    return subprocess.run(
        command,
        cwd=copy,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""AWS keys in the configuration, which every client with READ can query.

SUBSYSTEM_ENVIRONMENT and similar knobs are not secret: every daemon of the host answers condor_config_val -addr with
the whole configuration.  This daemon warns at each start and reconfig, and redacts such values in its own answers.  The
host's other daemons still show them.
"""

import re
from collections.abc import Iterator

from annexd.condor import bindings
from annexd.daemoncore import log
from annexd.daemoncore.config.parameters import BadConfiguration, param
from annexd.daemoncore.program import knob

KEYS = re.compile(r"\bAWS_(?:SECRET_ACCESS_KEY|SESSION_TOKEN|ACCESS_KEY_ID)\b", re.IGNORECASE)
SUFFIX = "_ENVIRONMENT"
REDACTED = "<redacted: it holds AWS keys>"


def redacted(name: str, text: str) -> str:
    """Return a knob's text without AWS keys; of `NAME = text`, NAME stays."""
    if not name.upper().endswith(SUFFIX) or not KEYS.search(text):
        return text
    head, separator, _ = text.partition(" = ")
    return f"{head}{separator}{REDACTED}" if head.upper() == name.upper() else REDACTED


def warn() -> None:
    """Log one error for each knob that holds keys, without the keys."""
    for name in _with_keys():
        log.error(
            f"{name} holds AWS keys, which any client with READ can query from every daemon of this host with "
            f"condor_config_val -addr. Rotate the keys now and remove them from {name}; use an instance profile, or "
            f"set AWS_SHARED_CREDENTIALS_FILE in {knob('ENVIRONMENT')} to a file of mode 600 owned by HTCondor's user"
        )


def _with_keys() -> Iterator[str]:
    for name in sorted(bindings.knobs(), key=str.upper):
        if name.upper().endswith(SUFFIX) and KEYS.search(_text(name)):
            yield name


def _text(name: str) -> str:
    try:
        return param(name) or ""
    except BadConfiguration:
        return ""  # reported as a fault where it is read

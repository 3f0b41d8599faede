"""AWS keys in the configuration, which are anybody's to read who has READ.

SUBSYSTEM_ENVIRONMENT and its like are for what is no secret: every daemon of the host answers condor_config_val -addr
with the whole configuration.  The daemon says so at each start and reconfig, and answers without such values; the
host's other daemons go on showing them.
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
    """What may be told of a knob's text; of `NAME = text`, the first part stays."""
    if not name.upper().endswith(SUFFIX) or not KEYS.search(text):
        return text
    head, separator, _ = text.partition(" = ")
    return f"{head}{separator}{REDACTED}" if head.upper() == name.upper() else REDACTED


def warn() -> None:
    """One line of the log for each knob that holds keys, without them."""
    for name in _with_keys():
        log.error(
            f"{name} holds AWS keys, which anybody with READ gets from every daemon of this host by "
            f"condor_config_val -addr: give the host an instance profile, or have {knob('ENVIRONMENT')} set "
            f"AWS_SHARED_CREDENTIALS_FILE to a file of mode 600 that belongs to HTCondor's user; "
            f"take the keys out of {name}, and rotate them now"
        )


def _with_keys() -> Iterator[str]:
    for name in sorted(bindings.knobs(), key=str.upper):
        if name.upper().endswith(SUFFIX) and KEYS.search(_text(name)):
            yield name


def _text(name: str) -> str:
    try:
        return param(name) or ""
    except BadConfiguration:
        return ""  # of no use to anybody, and named as a fault where it is read

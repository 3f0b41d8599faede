"""Place one order as a user's script would: repeat it under the same CommandID until there is a reply.

Read {"address_file": ..., "ad": {...}} from standard input, and print the reply ad as one line of JSON.
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import classad2
from htcondor2 import htcondor2_impl

CA_AUTH_CMD = 1000
SINFUL = re.compile(r"<[\w.-]+:\d+(\?[^<>\s]*)?>")  # the bindings end the process when they get anything but an address
AGAIN = ("UnknownError",)
PAUSE_S = 0.3


def main() -> None:
    reported = json.load(sys.stdin)
    while not (reply := ask(Path(reported["address_file"]), reported["ad"])):
        time.sleep(PAUSE_S)
    print(json.dumps(reply), flush=True)


def ask(address_file: Path, ad: dict[str, Any]) -> dict[str, Any] | None:
    """Return the reply, or None when annexd cannot be reached or its result is one of AGAIN."""
    try:
        address = address_file.read_text().splitlines()[0].strip()
    except (OSError, IndexError):
        return None
    if not SINFUL.fullmatch(address):
        return None
    answer = htcondor2_impl._send_generic_payload_command(  # as annexd.tool.bindings
        address, CA_AUTH_CMD, classad2.ClassAd(ad)._handle
    )
    reply = dict(answer[0]) if answer[0] else None
    return None if reply is None or reply.get("Result") in AGAIN else reply


if __name__ == "__main__":
    main()

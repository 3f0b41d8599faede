"""-save: write the config of an order into a config.json, and order nothing."""

import json
import shlex
from collections.abc import Sequence
from typing import Any, Final

from annexd.tool import show
from annexd.tool.command_line import without
from annexd.tool.errors import BAD_FILE, ToolError
from annexd.tool.launch_rules import LAUNCH
from annexd.tool.option_rules import USER_DATA
from annexd.tool.options import ToolOptions

IN_FILE: Final = (*LAUNCH, *USER_DATA, "target_capacity", "save")  # options that the saved config replaces
ADDED: Final = (
    "fleet role, network and instance profile of -setup are not in it: annexd adds those that an order leaves out"
)


def save(config: dict[str, Any], options: ToolOptions, arguments: Sequence[str]) -> None:
    """Write the config.  Raises ToolError for a file that already exists or cannot be written."""
    text = json.dumps(config, indent=2) + "\n"
    file = str(options.save)
    if file == "-":
        print(text, end="", flush=True)
    else:
        _write(file, text)
    lease = [] if options.lease_duration_s else ["-lease-duration", "DURATION"]
    command = ["condor_annex", *lease, *without(arguments, IN_FILE, file=False), "FILE" if file == "-" else file]
    written = [f"{file} is written"] if file != "-" else []
    show.notes([*written, f"nothing is ordered; to order it: {shlex.join(command)}", ADDED])


def _write(file: str, text: str) -> None:
    """Write a new file, but not through a dangling link: its creator is unknown."""
    try:
        with open(file, "x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as error:
        raise ToolError(
            BAD_FILE, f"{file} exists, and -save does not replace a file: remove it, or name another"
        ) from error
    except OSError as error:
        raise ToolError(BAD_FILE, f"{file} cannot be written: {error.strerror}") from error

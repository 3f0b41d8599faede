"""Settings of instances that boot for real: what their image would contain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Boot:
    """`Cloud(boot=Boot(...))`: every new instance of `image` becomes processes of this machine.

    First bin/condor-annex-ec2 runs as root with `options`.  If it succeeds, `command` runs as the user who runs this.
    Both find the instance's own folder in MACHINE ({machine} in `command` and in `environment`).  Its bin folder, first
    in PATH, has a `shutdown` that ends the instance.  The folder has config.d, tokens.d, condor-annex-ec2.log, boot.log
    and command.log (all output), and tools (the recorded calls of system tools).

    Where this host allows it, both run in a network of their own.  From there they reach the emulated AWS and `ports`
    of 127.0.0.1 here, and nothing reaches them.
    """

    command: Sequence[str] = ()
    options: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    ports: Sequence[int] = ()
    directory: str = ""  # where the machines' folders are created and kept; empty: a temporary one
    image: str = "*"  # a pattern of image IDs
    maximum: int = 4  # at one time; further instances are records only
    isolated: bool = True  # in namespaces, where this host allows them

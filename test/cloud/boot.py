"""How an emulated instance boots for real: what its image would hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Boot:
    """`Cloud(boot=Boot(...))`: every new instance of `image` becomes processes of this machine.

    First bin/condor-annex-ec2 runs, as root and with `options`; then, if that succeeds, `command`, as the user who runs
    this.  Both have a folder of their own, which they find in MACHINE ({machine} in `command` and in `environment`),
    and in its bin folder, first in PATH, a `shutdown` that ends the instance.  The folder has config.d, tokens.d,
    condor-annex-ec2.log, boot.log and command.log (all that was printed), tools (which calls there were).

    Where this host allows it they are in a network of their own, from which they reach the emulated AWS and `ports`
    of 127.0.0.1 here, and nothing reaches them.
    """

    command: Sequence[str] = ()
    options: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    ports: Sequence[int] = ()
    directory: str = ""  # in which the machines' folders are made, and kept; else a temporary one
    image: str = "*"  # a pattern
    maximum: int = 4  # at one time; further instances are records only
    isolated: bool = True  # in namespaces, where this host allows them

"""Instances that boot for real: the processes of each, in a folder and, where it can be, a network of its own."""

from __future__ import annotations

import sys
from pathlib import Path

TOOLS = ("shutdown", "systemd-run", "systemctl", "nft", "iptables", "ip6tables")
SOURCE = Path(__file__).with_name("machine_tools.py")


def give_tools(folder: Path, tools: tuple[str, ...] = TOOLS) -> None:
    """A bin folder that is all of a boot script's PATH."""
    (folder / "bin").mkdir(exist_ok=True)
    text = SOURCE.read_text(encoding="utf-8")
    for name in tools:
        path = folder / "bin" / name
        path.write_text(f"#!{sys.executable} -IS\n{text}", encoding="utf-8")
        path.chmod(0o755)

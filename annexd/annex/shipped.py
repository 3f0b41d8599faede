"""Files that come with annexd beside its code, and where they are: in a checkout, or as pip installs them."""

import sysconfig
from pathlib import Path


def places(folder: str, name: str) -> tuple[Path, ...]:
    """Where the file may be."""
    tops = Path(__file__).resolve().parents[2], Path(sysconfig.get_path("data")) / "share" / "annexd"
    return tuple(top / folder / name for top in tops)


def shipped(folder: str, name: str) -> bytes | None:
    """Its content; None where it is missing."""
    for path in places(folder, name):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            continue
    return None

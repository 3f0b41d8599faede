"""Find files that come with annexd beside its code: in a checkout, or where pip has installed them.

pip puts them below the data folder of its installation scheme: a virtual environment, the system or the user's home
(--user).  With --target they are below the folder of the code itself.
"""

import sysconfig
from pathlib import Path
from typing import Final

TOP: Final = Path(__file__).resolve().parents[2]  # the checkout, or the folder of installed packages
SHARE: Final = Path("share", "annexd")


def _data_folders() -> list[Path]:
    """Return the data folders of the schemes by which the code can have been installed in its place."""
    names = sysconfig.get_scheme_names()
    schemes = [each for each in names if Path(sysconfig.get_path("purelib", each)).resolve() == TOP]
    return list(dict.fromkeys(Path(sysconfig.get_path("data", each), SHARE) for each in schemes))


# Once, when imported: the first use of sysconfig is not thread-safe, https://github.com/python/cpython/issues/92452.
DATA_FOLDERS: Final = _data_folders()


def places(folder: str, name: str) -> tuple[Path, ...]:
    """Return where the file may be, the likeliest first."""
    return tuple(top / folder / name for top in (TOP, TOP / SHARE, *DATA_FOLDERS))


def shipped(folder: str, name: str) -> bytes | None:
    """Return its content; None if it is missing."""
    for path in places(folder, name):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            continue
    return None

"""CERTIFICATE_MAPFILE: the files of the unified map file, found and read as HTCondor's daemons do."""

import re
from collections.abc import Sequence
from pathlib import Path

from annexd.authorization.map_file import MapFile
from annexd.daemoncore.config.parameters import Parameters


def read_map_file(look_up: Parameters) -> MapFile:
    """Read the configured map; without CERTIFICATE_MAPFILE it is empty."""
    path = look_up.text("CERTIFICATE_MAPFILE")
    excluded = look_up.text("LOCAL_CONFIG_DIR_EXCLUDE_REGEXP")

    def read_files(path: str) -> Sequence[tuple[str, str]]:
        return [(str(file), file.read_text(errors="replace")) for file in _files(Path(path), excluded)]

    literal = look_up.boolean("CERTIFICATE_MAPFILE_ASSUME_HASH_KEYS", False)
    return MapFile.read(path, read_files, literal_keys=literal) if path else MapFile()


def _files(path: Path, excluded: str) -> list[Path]:
    """List a directory's files in order, without those that LOCAL_CONFIG_DIR_EXCLUDE_REGEXP excludes (backups)."""
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.is_file())
    return [file for file in files if not (excluded and re.match(excluded, file.name))]

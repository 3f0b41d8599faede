"""Unpack a Debian package with all its libraries beside the system, and make it run there.

apt runs with its own sources, lists and state.  The machine's are not changed, and not read except for the address of
the mirror and the proxy settings; root is not needed.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sysconfig
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

COMMAND_TIMEOUT_S = 300
ELF = b"\x7fELF"
UPSTREAM_VERSION = re.compile(r"_(?:\d+%3a)?([0-9.]+)")
# The package and its shared libraries, without interpreters of scripts and installer tools.
LIBRARY = re.compile(r"zlib|lib(?!js-|perl|python|date-|deb|newt|slang|textwrap|semanage|cryptsetup)")
NOT_FOLLOWED = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")


class FetchError(Exception):
    """A package cannot be fetched; the message says why."""


@dataclass(frozen=True)
class Unpacked:
    """A package's upstream version, and the directory that serves as its `/`."""

    version: str
    tree: Path


def unpack(package: str, suite: str, scratch: Path) -> Unpacked:
    """Download `package` of a suite with its libraries and unpack them in the empty `scratch`."""
    _require("apt-get", "apt-cache", "dpkg-deb", "patchelf")
    apt = _private_apt(suite, scratch)
    _run(["apt-get", *apt, "-qq", "update"])
    followed = [f"--no-{kind}" for kind in NOT_FOLLOWED]
    closure = _run(["apt-cache", *apt, "depends", "--recurse", *followed, package]).splitlines()
    wanted = sorted({name for name in closure if name == package or LIBRARY.match(name)})
    debs, tree = scratch / "debs", scratch / "tree"
    debs.mkdir()
    tree.mkdir()
    _run(["apt-get", *apt, "-qq", "download", *wanted], cwd=debs)
    for deb in sorted(debs.iterdir()):
        _run(["dpkg-deb", "--extract", str(deb), str(tree)])
    return Unpacked(_version_of(package, debs), tree)


def relocate(tree: Path, home: Path) -> None:
    """Make the programs in `tree` run with their own loader and libraries once the tree is moved to `home`."""
    loader = next(tree.glob("usr/lib*/**/ld-linux*.so.*"), None)
    if loader is None:
        raise FetchError(f"no dynamic loader among the packages in {tree}")
    libraries = loader.resolve().parent
    within = [home / directory.relative_to(tree) for directory in (libraries, tree / "usr" / "lib")]
    path = ":".join(str(directory) for directory in within)
    interpreter = str(within[0] / loader.name)
    patchelf = _require("patchelf")[0]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in [pool.submit(_patch, patchelf, file, path, interpreter) for file in _elf_files(tree)]:
            done.result()


def mirror() -> str:
    """Return the Debian archive that this machine uses; its lists need not have been fetched."""
    _require("apt-get")
    archives = _archives() or _archives("--no-release-info")  # the second works before any apt-get update
    named = [uri for uri, origin in archives if origin == "Debian"]
    looks_so = [uri for uri, _ in archives if uri.rstrip("/").endswith("/debian")]
    if not named + looks_so:
        raise FetchError("apt knows no Debian archive (see 'apt-get indextargets')")
    return (named + looks_so)[0]


def _archives(*options: str) -> list[tuple[str, str]]:
    """Return (address, origin) of apt's sources, except those of security updates."""
    lines = _run(["apt-get", "indextargets", *options, "--format", "$(REPO_URI) $(ORIGIN)"]).splitlines()
    fields = [line.partition(" ") for line in dict.fromkeys(lines)]
    return [(uri, origin) for uri, _, origin in fields if uri and "security" not in uri]


def _private_apt(suite: str, scratch: Path) -> list[str]:
    """Return options that restrict apt to sources and state below `scratch`, for root and other users."""
    for directory in ("lists/partial", "cache/archives/partial"):
        (scratch / directory).mkdir(parents=True)
    sources = scratch / "sources.list"
    sources.write_text(f"deb {mirror()} {suite} main\n")
    settings = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::State::Lists": scratch / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": scratch / "cache",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "APT::Sandbox::User": "root",  # otherwise apt becomes _apt, which cannot enter `scratch`
        "APT::Get::List-Cleanup": "false",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    return [option for name, value in settings.items() for option in ("-o", f"{name}={value}")]


def _version_of(package: str, debs: Path) -> str:
    for deb in debs.glob(f"{package}_*.deb"):
        version = UPSTREAM_VERSION.search(deb.name)
        if version:
            return version.group(1)
    raise FetchError(f"apt downloaded no package {package}")


def _elf_files(tree: Path) -> Iterator[Path]:
    """Yield executables and libraries, except the C library and its loader, which patchelf would break."""
    for file in tree.rglob("*"):
        if file.is_symlink() or not file.is_file() or re.match(r"ld-linux|libc\.so", file.name):
            continue
        with file.open("rb") as content:
            if content.read(len(ELF)) == ELF and ("gconv" not in file.parts):
                yield file


def _patch(patchelf: str, file: Path, path: str, interpreter: str) -> None:
    if not _run([patchelf, "--print-needed", str(file)], check=False):
        return  # statically linked
    file.chmod(stat.S_IMODE(file.stat().st_mode) & 0o777 | stat.S_IWUSR)  # without set-user-ID
    _run([patchelf, "--force-rpath", "--set-rpath", path, str(file)])
    if ".so" not in file.name and _run([patchelf, "--print-interpreter", str(file)], check=False):
        _run([patchelf, "--set-interpreter", interpreter, str(file)])


def _require(*programs: str) -> list[str]:
    path = os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)))
    found = {name: shutil.which(name, path=path) for name in programs}
    missing = [name for name, where in found.items() if where is None]
    if missing:
        raise FetchError(f"{' and '.join(missing)} cannot be found")
    return [where for where in found.values() if where]


def _run(command: list[str], *, cwd: Path | None = None, check: bool = True) -> str:
    """Return a command's standard output; raise FetchError with its last line if it fails."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise FetchError(f"{command[0]} did not end within {COMMAND_TIMEOUT_S} s") from error
    if check and done.returncode != 0:
        message = (done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}").splitlines()
        raise FetchError(f"{Path(command[0]).name}: {message[-1]}")
    return done.stdout

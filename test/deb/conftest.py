"""One root for the whole life of a package; each fixture takes it one step further, and tests run in file order."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from annexd.account.configuration import DAEMON
from test.cloud import Cloud
from test.cloud.cloud import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from test.deb.root import DebianRoot
from test.texts import TOP, block

OPERATIONS = TOP / "docs/operations.md"
NEXT_VERSION = "99.0"
KEYS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY}
EXAMPLE = "/usr/share/annexd/templates/config.json"


@dataclass(frozen=True)
class Ordered:
    """The root with alice's order, and the ID of her fleet."""

    root: DebianRoot
    fleet_id: str


@dataclass(frozen=True)
class Removed:
    """The root after the removal, and the removal's output."""

    root: DebianRoot
    said: str


@pytest.fixture(scope="session")
def package() -> Path:
    return Path(os.environ["ANNEXD_DEB"])


@pytest.fixture(scope="session")
def next_package(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the same package with a later version of annexd."""
    tree = tmp_path_factory.mktemp("next") / "annexd"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control, [code] = tree / "DEBIAN/control", list(tree.glob("usr/lib/annexd/lib/*/site-packages/annexd/__init__.py"))
    control.write_text(re.sub(r"^Version: .*", f"Version: {NEXT_VERSION}-1", control.read_text(), flags=re.MULTILINE))
    code.write_text(re.sub(r"__version__ = .*", f'__version__ = "{NEXT_VERSION}"', code.read_text()))
    made = tree.with_suffix(".deb")
    subprocess.run(["dpkg-deb", "--build", "-Zgzip", "-z1", "--root-owner-group", tree, made], check=True)
    return made


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    with Cloud(speed=60, termination_s=0.5) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def fresh() -> Iterator[DebianRoot]:
    """Yield a root in which Debian's condor runs and annexd was never installed."""
    with DebianRoot(Path(os.environ["ANNEXD_DEB_ROOT"])) as root:
        root.start_condor()
        yield root


@pytest.fixture(scope="session")
def installed(fresh: DebianRoot, package: Path) -> DebianRoot:
    """Install the package as docs/operations.md shows after `make deb`, but without sudo and for this root's suite."""
    suite, [_make, install] = package.parent.name, block(OPERATIONS, "sudo make deb").splitlines()
    folder = fresh.directory / "srv/clone/dist" / suite
    folder.mkdir(parents=True)
    shutil.copy(package, folder)
    line = install.removeprefix("sudo ").replace("/trixie/", f"/{suite}/")
    fresh.succeed("bash", "-euc", f"cd /srv/clone\n{line}")
    return fresh


@pytest.fixture(scope="session")
def enabled(installed: DebianRoot, cloud: Cloud) -> DebianRoot:
    """Enable annexd with the block of docs/operations.md, and set up an account of the emulated AWS."""
    installed.paste(OPERATIONS, "ln -s /usr/share/annexd/config.d/80annexd")
    installed.wait_for(lambda: bool(installed.annexds_seen()), "annexd to be seen")
    installed.succeed("condor_annex", "-setup", "-region", "us-east-1", AWS_ENDPOINT_URL=cloud.url, **KEYS)
    installed.succeed("condor_reconfig")
    return installed


@pytest.fixture(scope="session")
def ordered(enabled: DebianRoot) -> Ordered:
    for name, key in (("access", ACCESS_KEY_ID), ("secret", SECRET_ACCESS_KEY)):
        enabled.write(f"/home/alice/{name}", f"{key}\n", owner="alice", mode=0o600)
    keys = ["-public-key-file", "/home/alice/access", "-secret-key-file", "/home/alice/secret"]
    done = enabled.run("condor_annex", *keys, "-lease-duration", "12h", "-count", "2", EXAMPLE, user="alice")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{enabled.logs()}"
    return Ordered(enabled, done.stdout.strip())


@pytest.fixture(scope="session")
def upgraded(ordered: Ordered, next_package: Path) -> Ordered:
    ordered.root.install(next_package)
    return ordered


@pytest.fixture(scope="session")
def removed(upgraded: Ordered) -> Removed:
    """Remove the package while the annexd of another region, from a file like -setup's, is still in DAEMON_LIST."""
    block = DAEMON.format(name="ANNEXD_EU", region="eu-west-1")
    upgraded.root.write("/etc/condor/config.d/83annexd-eu", f"{block}DAEMON_LIST = $(DAEMON_LIST) ANNEXD_EU\n")
    upgraded.root.succeed("condor_reconfig")
    upgraded.root.wait_for(lambda: len(upgraded.root.annexds_seen()) == 2, "both annexds to be seen")
    return Removed(upgraded.root, upgraded.root.succeed("dpkg", "--remove", "annexd"))

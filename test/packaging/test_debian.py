"""The content of the Debian package, and its scripts; `make deb-test` installs it for real."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from annexd import __version__
from annexd.account.configuration import KNOBS, local_name, text
from test.packaging.installation import TOP, build_wheel, into_environment
from test.pool import find

DEBIAN = TOP / "packaging/debian"
SCRIPTS = [*sorted(DEBIAN.glob("annexd.p*")), DEBIAN / "arrange"]
BASH = [path for path in sorted(DEBIAN.parent.iterdir()) if path.is_file() and path.suffix != ".md"]
JOURNAL = "annexd_command_state"
SERIES = os.environ.get("HTCONDOR_SERIES", "25")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the package's tree as debian/rules does, without the packages from PyPI."""
    scratch = tmp_path_factory.mktemp("package")
    into_environment(build_wheel(scratch), scratch / "made")
    shutil.copytree(scratch / "made", scratch / "root/usr/lib/annexd", symlinks=True)
    subprocess.run([DEBIAN / "arrange", scratch / "root"], check=True)
    return scratch / "root"


def run(script: str, *arguments: str, root: Path) -> str:
    done = subprocess.run(
        ["sh", DEBIAN / f"annexd.{script}", *arguments],
        env={**os.environ, "DPKG_ROOT": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def state(root: Path, *files: str) -> Path:
    folder = root / "var/lib/annexd"
    folder.mkdir(parents=True)
    for name in files:
        (folder / name).write_text("kept")
    return folder


def test_its_version_is_annexds() -> None:
    newest = re.match(r"annexd \((.+)-\d+\) ", (DEBIAN / "changelog").read_text())
    assert newest is not None
    assert newest.group(1) == __version__


@pytest.mark.parametrize("script", [*SCRIPTS, *BASH], ids=lambda path: path.name)
def test_a_script_is_sound_and_stops_at_the_first_fault(script: Path) -> None:
    shell = "bash" if script in BASH else "sh"
    subprocess.run([shell, "-n", script], check=True)
    assert re.search(r"^set -\w*e", script.read_text(), re.MULTILINE)


def test_programs_manual_pages_and_files_have_debians_places(package: Path) -> None:
    assert os.readlink(package / "usr/bin/condor_annex") == "../lib/annexd/bin/condor_annex"
    assert os.readlink(package / "usr/sbin/condor_annexd") == "../lib/annexd/bin/condor_annexd"
    pages = {path.relative_to(package / "usr/share/man").as_posix() for path in package.glob("usr/share/man/*/*")}
    assert pages == {"man1/condor_annex.1", "man8/condor_annexd.8", "man8/condor-annex-ec2.8"}
    for place in ("bash-completion/completions/condor_annex.bash", "zsh/vendor-completions/_condor_annex"):
        ours = TOP / "completion" / Path(place).name
        assert (package / "usr/share" / place).read_bytes() == ours.read_bytes()
    assert (package / "usr/lib/annexd/share/annexd/templates/annex.json").is_file()
    assert {path.name for path in package.iterdir()} == {"usr"}, "nothing of it is enabled by its installation"
    left = {path.name for path in (package / "usr/lib/annexd/share").iterdir()}
    assert left == {"annexd"}, "what pip installs has no place of Debian's yet: see arrange"


def test_its_programs_run_by_its_own_python_and_take_no_module_of_a_user(package: Path) -> None:
    programs = [*package.glob("usr/lib/annexd/bin/condor_*"), *package.glob("usr/share/annexd/templates/generate-*")]
    generators = {"generate-policies", "generate-prices", "generate-role"}
    assert {path.name for path in programs} == {"condor_annex", "condor_annexd", *generators}
    assert {path.read_text().partition("\n")[0] for path in programs} == {"#!/usr/lib/annexd/bin/python3 -I"}
    assert "made" not in (package / "usr/lib/annexd/pyvenv.cfg").read_text(), "the place where it was built"


def test_its_configuration_keeps_the_journal_out_of_the_spool_that_a_purge_of_condor_empties(package: Path) -> None:
    shipped = (package / "usr/share/annexd/config.d/80annexd").read_text()
    assert f"\nANNEXD_COMMAND_STATE = /var/lib/annexd/{JOURNAL}\n" in shipped
    ours = (TOP / "config.d/80annexd").read_text()
    assert shipped.splitlines()[:1] == ours.splitlines()[:1]
    assert len(set(shipped.splitlines()) - set(ours.splitlines())) == 1


def test_a_further_regions_journal_lies_beside_the_first(package: Path, tmp_path: Path) -> None:
    shipped = (package / "usr/share/annexd/config.d/80annexd").read_text()
    of_setup = text({region: dict.fromkeys(KNOBS, "default") for region in ("us-east-1", "eu-west-1")})
    (tmp_path / "config").write_text(f"SPOOL = /var/spool/condor\n{shipped}\n{of_setup}\n")
    program = str(find(SERIES).executable("condor_config_val"))
    asked = [program, "-local-name", local_name("eu-west-1"), "ANNEXD_COMMAND_STATE"]
    env = {**os.environ, "CONDOR_CONFIG": str(tmp_path / "config")}
    said = subprocess.run(asked, env=env, capture_output=True, text=True, check=True).stdout
    assert said == f"/var/lib/annexd/{JOURNAL}.eu-west-1\n"


def test_a_purge_removes_the_journal_only_if_the_removal_saw_that_nothing_lives(tmp_path: Path) -> None:
    living, ended = state(tmp_path / "living", JOURNAL), state(tmp_path / "ended", JOURNAL, "nothing-lives")
    said = run("postrm", "purge", root=tmp_path / "living")
    assert "annexes that may live" in said
    assert (living / JOURNAL).read_text() == "kept"
    assert run("postrm", "purge", root=tmp_path / "ended") == ""
    assert not ended.exists()
    assert run("postrm", "purge", root=tmp_path / "never") == ""


def test_a_removal_forgets_what_one_that_was_broken_off_had_seen(tmp_path: Path) -> None:
    folder = state(tmp_path, JOURNAL, "nothing-lives")
    environment = {**os.environ, "DPKG_ROOT": str(tmp_path)}
    subprocess.run(
        ["sh", DEBIAN / "annexd.prerm", "remove"], env=environment, check=False, timeout=60
    )  # no annexd here
    assert {path.name for path in folder.iterdir()} == {JOURNAL}


def test_an_upgrade_removes_nothing(tmp_path: Path) -> None:
    folder = state(tmp_path, JOURNAL)
    run("postrm", "upgrade", "1", root=tmp_path)
    assert (folder / JOURNAL).read_text() == "kept"


def test_the_package_contains_all_that_its_readme_names(package: Path) -> None:
    named = set(re.findall(r"/usr/share/annexd/[\w./-]*\w", (DEBIAN / "README.Debian").read_text()))
    assert named
    assert [path for path in named if not (package / path.lstrip("/")).exists()] == []

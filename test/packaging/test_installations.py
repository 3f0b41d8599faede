"""All programs and files of annexd are found, whichever way pip installed it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from annexd import __version__
from test.cloud import Cloud
from test.cloud.cloud import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from test.packaging.installation import TOP, WAYS, Installation, build_wheel, hostile_modules

KEYS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with Cloud(speed=600, behaviour={"logs_late_s": 0.0}) as cloud:
        yield cloud


@pytest.fixture(scope="module", params=WAYS)
def installed(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return WAYS[request.param](wheel, tmp_path_factory.mktemp("installed"))


def test_its_programs_run(installed: Installation) -> None:
    for program, option in (("condor_annex", "-version"), ("condor_annexd", "-v")):
        done = installed.run(installed.programs / program, option)
        assert (done.returncode, __version__ in done.stdout) == (0, True), done.stderr


def test_its_programs_ignore_other_programs_modules(installed: Installation, tmp_path: Path) -> None:
    """The programs of a --target installation work without the PYTHONPATH that other Python code needs."""
    foreign = hostile_modules(tmp_path / "modules")
    for program, option in (("condor_annex", "-version"), ("condor_annexd", "-v")):
        done = installed.run(installed.programs / program, option, PYTHONPATH=str(foreign))
        assert (done.returncode, __version__ in done.stdout) == (0, True), done.stderr


def test_setup_ignores_other_programs_modules(installed: Installation, cloud: Cloud, tmp_path: Path) -> None:
    file, foreign = tmp_path / "81annex", hostile_modules(tmp_path / "modules")
    command = installed.programs / "condor_annex", "-check-setup", "-region", "us-east-1", "-output", file
    done = installed.run(*command, AWS_ENDPOINT_URL=cloud.url, PYTHONPATH=str(foreign), **KEYS)
    assert " ok " in done.stdout, done.stdout + done.stderr


def test_setup_finds_its_template(installed: Installation, cloud: Cloud, tmp_path: Path) -> None:
    command = installed.programs / "condor_annex", "-setup", "-region", "us-east-1", "-output", tmp_path / "81annex"
    done = installed.run(*command, AWS_ENDPOINT_URL=cloud.url, **KEYS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ANNEX_DEFAULT_LEASE_FUNCTION_ARN" in (tmp_path / "81annex").read_text()


def test_annexd_finds_the_lease_functions_code(installed: Installation) -> None:
    program = "from annexd.annex.resources import shipped; print(len(shipped('lambda', 'lease.py') or b''))"
    done = installed.run(installed.python, "-c", program)
    assert done.stdout.strip() == str((TOP / "lambda/lease.py").stat().st_size), done.stderr


def test_the_generators_run(installed: Installation) -> None:
    templates = installed.share / "annexd/templates"
    policy = installed.run(installed.python, templates / "generate-policies", "user", "OtherName", "aws-cn")
    assert "arn:aws-cn:" in json.dumps(json.loads(policy.stdout)), policy.stderr
    role = installed.run(installed.python, templates / "generate-role", "my-bucket", "one.tar.gz")
    assert "my-bucket/one.tar.gz" in json.dumps(json.loads(role.stdout)), role.stderr


def test_all_that_users_meet_is_there_and_man_finds_the_pages_beside_the_programs(installed: Installation) -> None:
    for folder in ("config.d", "ganglia.d", "lambda", "templates"):
        missing = below(TOP, folder) - below(installed.share / "annexd", folder)
        assert missing <= {"templates/generate-template"}, missing  # it writes into the checkout
    assert installed.programs.parent == installed.share.parent  # manpath(1) searches beside the folders of PATH
    for page in (TOP / "docs/man").iterdir():
        assert (installed.share / f"man/man{page.suffix[1:]}" / page.name).read_bytes() == page.read_bytes()


def test_the_completion_of_both_shells_is_there(installed: Installation) -> None:
    for place, name in (("bash-completion/completions", "condor_annex.bash"), ("zsh/site-functions", "_condor_annex")):
        assert (installed.share / place / name).read_bytes() == (TOP / "completion" / name).read_bytes()


def below(top: Path, folder: str) -> set[str]:
    paths = {path.relative_to(top).as_posix() for path in (top / folder).rglob("*")}
    return {path for path in paths if "__pycache__" not in path}


def test_the_policy_generator_says_which_python_it_needs(installed: Installation) -> None:
    generator = installed.share / "annexd/templates/generate-policies"
    done = installed.run("/usr/bin/env", "python3", "-I", "-S", generator, "user")
    assert done.returncode == 1
    assert "run this with annexd's Python" in done.stderr

"""Tests of the layering: imports run in one direction."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import pytest

from test.texts import EDGE, fenced

TOP = Path(__file__).resolve().parents[1]
ANNEXD = TOP / "annexd"
ALLOWED = {  # the packages of annexd that a package may import, besides itself
    "cedar": set(),
    "condor": set(),
    "workflow": set(),
    "aws": set(),
    "authorization": {"cedar.levels", "cedar.identity"},
    "annex": {"workflow", "aws", "budget"},
    "budget": set(),
    "demand": {"condor", "daemoncore"},
    "daemoncore": {"authorization", "cedar", "condor"},
    "service": {"daemoncore", "annex", "aws", "workflow", "cedar", "condor", "demand", "budget"},
    "account": {"aws", "annex", "workflow"},
    "tool": {"annex", "account", "condor", "demand"},
}
BASE = {  # modules below a package's subpackages (its rooms); they import no room
    "annex": {"resources", "translate_aws_errors"},
    "daemoncore": {
        "atomic_file",
        "listening_socket",
        "log",
        "privileges",
        "program",
        "regular_file",
        "sinful",
        "threads",
        "ttl_cache",
    },
}
ROOMS: dict[str, dict[str, set[str]]] = {  # the rooms that a room may import, besides itself and the base
    "annex": {
        "lease": set(),
        "request": {"lease"},
        "fleet": {"request", "lease"},
        "join": {"request", "lease"},
        "steps": {"fleet", "join", "request", "lease"},
        "quote": {"budgets", "bulk_request", "reply", "reservations", "steps", "fleet", "join", "request", "lease"},
    },
    "daemoncore": {
        "process": {"config.parameters"},
        "config": {"process.limits", "process.semaphore"},
        "security": {"config.parameters"},
        "commands": {"config", "process"},
        "pool": {"process", "settings"},
        "network": {"commands", "pool", "process", "security", "settings"},
    },
}
ONLY_IN: dict[str, str | tuple[str, ...]] = {  # the only places that may import an external module
    "asyncio": ("daemoncore/", "demand/", "service/"),
    "sqlite3": ("workflow/journal.py", "workflow/archive.py"),
    "boto3": "aws/",
    "htcondor2": ("condor/", "daemoncore/", "service/", "tool/"),
    "classad2": ("condor/", "daemoncore/", "demand/matching_worker.py", "service/", "tool/bindings.py"),
}
BINDINGS = "condor/bindings.py"
WITHOUT_DATA = {  # the parts of the bindings that other modules may use: none takes text from outside
    "htcondor2": {
        "HTCondorException",
        "LogLevel",
        "SubsystemType",
        "enable_debug",
        "enable_log",
        "platform",
        "reload_config",
        "set_subsystem",
        "version",
    },
    "classad2": {"ClassAdException", "Value"},
}
NOT_IN_CEDAR = {"socket", "asyncio", "time", "os", "logging"}
MODULES = sorted(ANNEXD.rglob("*.py"))
TEST_MODULE = re.compile(r"test\.([a-z_]+\.)*test_\w+\.")
TESTS = sorted((TOP / "test").rglob("*.py"))
LEASE = sorted((TOP / "lambda").glob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ANNEXD)))
def test_a_module_imports_only_what_its_package_may(path: Path) -> None:
    where = path.relative_to(ANNEXD).as_posix()
    package = where.partition("/")[0]
    for name in imported(path):
        root, _, ours = name.partition(".")
        if root == "annexd" and package in ALLOWED and ours not in {"", "__version__"}:
            may = ALLOWED[package] | {package}
            assert is_within(ours, may), f"{where} imports {name}"
        assert where.startswith(ONLY_IN.get(root, "")), f"{where} imports {name}"
        assert not (package == "cedar" and root in NOT_IN_CEDAR), f"{where} imports {name}"


def test_the_arrows_of_the_layers_are_the_imports_that_are_allowed() -> None:
    [layers] = [each for each in fenced(TOP / "docs" / "architecture.md", "mermaid") if each.startswith("flowchart")]
    drawn = set(EDGE.findall(layers))
    allowed = {(source, name.partition(".")[0]) for source, names in ALLOWED.items() for name in names}
    assert drawn == allowed


def is_within(name: str, places: Iterable[str]) -> bool:
    return any(f"{name}.".startswith(f"{each}.") for each in places)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ANNEXD)))
def test_a_room_imports_only_the_rooms_below_it(path: Path) -> None:
    package, *inner = path.relative_to(ANNEXD).with_suffix("").parts
    if package not in ROOMS:
        return
    room = inner[0]
    if room in BASE[package]:
        may = BASE[package] | {"config.parameters"}
    elif room in ROOMS[package]:
        may = ROOMS[package][room] | BASE[package] | {room}
    else:
        return  # combines the rooms
    for name in imported(path):
        inside = name.removeprefix(f"annexd.{package}.")
        assert inside == name or is_within(inside, may), f"{'.'.join(inner)} imports {inside}"


def test_every_room_of_a_package_has_its_place_in_the_plan() -> None:
    for package, rooms in ROOMS.items():
        found = {path.parent.name for path in (ANNEXD / package).glob("*/__init__.py")}
        assert found == set(rooms)


def test_no_module_imports_itself_by_way_of_others() -> None:
    names = {".".join(path.relative_to(TOP).with_suffix("").parts).removesuffix(".__init__"): path for path in MODULES}
    arrows = {name: {_module_of(each, names) for each in imported(path)} - {name} for name, path in names.items()}
    while leaves := {name for name, targets in arrows.items() if not targets & arrows.keys()}:
        for name in leaves:
            del arrows[name]
    assert not arrows, f"a circle among {sorted(arrows)}"


def _module_of(name: str, modules: Collection[str]) -> str:
    """Return the module of a dotted name, which is a module or something in one."""
    return name if name in modules else name.rpartition(".")[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ANNEXD)))
def test_data_reach_the_bindings_by_one_module_only(path: Path) -> None:
    if path == ANNEXD / BINDINGS:
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    whole = [node.value for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in WITHOUT_DATA:
            assert node.attr in WITHOUT_DATA[node.value.id], f"line {node.lineno} uses {ast.unparse(node)}"
        elif isinstance(node, ast.Name) and node.id in WITHOUT_DATA:
            assert node in whole, f"line {node.lineno} hands {node.id} on"
        elif isinstance(node, ast.Import):
            assert not any(
                each.name.partition(".")[0] in WITHOUT_DATA and (each.asname or "." in each.name) for each in node.names
            ), f"line {node.lineno}: the bindings are imported under their names"
        elif isinstance(node, ast.ImportFrom):
            root = (node.module or "").partition(".")[0]
            assert root not in WITHOUT_DATA, f"line {node.lineno}: a part of the bindings is imported"


def test_a_class_name_has_one_meaning() -> None:
    found: dict[str, list[str]] = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(path.relative_to(ANNEXD).as_posix())
    assert len(found) > 100
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


def test_shared_code_of_tests_is_outside_of_test_modules() -> None:
    found = {path.relative_to(TOP).as_posix(): [*imported(path)] for path in TESTS}
    of_tests = {where: [name for name in names if TEST_MODULE.match(name)] for where, names in found.items()}
    assert {where: names for where, names in of_tests.items() if names} == {}


@pytest.mark.parametrize("path", LEASE, ids=lambda path: path.name)
def test_the_lease_function_is_self_contained(path: Path) -> None:
    assert not any(name.partition(".")[0] in {"annexd", "test"} for name in imported(path))


def test_the_daemon_starts_without_what_talks_to_aws() -> None:
    """The AWS client takes 0.1 s to import, and condor_master learns that annexd is ready before that."""
    program = (
        "import sys, annexd.service.annexd; "
        "sys.exit(' '.join({'botocore.session', 'botocore.parsers', 'urllib3'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "CONDOR_CONFIG": "ONLY_ENV"},
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr

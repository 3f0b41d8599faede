"""The example daemon of docs/daemons.md under a real condor_master: daemoncore works on its own."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from test.pool import Pool
from test.texts import blocks, fenced

TOP = Path(__file__).resolve().parents[2]
EXAMPLE = TOP / "docs" / "examples" / "condor_greeter"
PAGE = TOP / "docs" / "daemons.md"
FOUND_S = 120.0


def configuration() -> str:
    """Return the page's configuration with the path of this checkout's example."""
    [block] = fenced(PAGE, "condor")
    [path] = re.findall(r"^GREETER = (.*)$", block, re.MULTILINE)
    return block.replace(path, "$(LOCAL_DIR)/condor_greeter")


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    pool = Pool(daemons=("MASTER", "COLLECTOR", "SHARED_PORT"))
    program = pool.directory / "condor_greeter"  # condor_master runs files, and this interpreter has the packages
    program.write_text(f"#!{sys.executable}\n{EXAMPLE.read_text()}")
    program.chmod(0o755)
    with pool:
        pool.configure(configuration())
        pool.wait_for(lambda: status(pool), "the collector to show the greeter", FOUND_S)
        yield pool


def status(pool: Pool) -> list[dict[str, object]]:
    said = pool.tool("condor_status", "-subsystem", "Greeter", "-json").stdout
    return list(json.loads(said)) if said.strip() else []


def test_the_page_shows_the_example_as_it_is() -> None:
    [block] = [each for each in fenced(PAGE, "python") if each.startswith("PROGRAM")]
    assert block.rstrip() in EXAMPLE.read_text()


def test_it_answers_the_client_of_the_page_and_its_ad_counts_it(pool: Pool) -> None:
    [client] = [each for each in fenced(PAGE, "python") if each.startswith("import")]
    before = int(str(status(pool)[0]["Greetings"]))
    done = pool.run(sys.executable, "-c", client)
    assert done.stdout == "Hello, Ada!\n", done.stderr
    pool.wait_for(lambda: status(pool)[0]["Greetings"] == before + 1, "the ad to count the greeting", FOUND_S)


def test_administrators_use_it_as_any_daemon(pool: Pool) -> None:
    [command] = blocks(PAGE)
    name, *words = command.split()
    shown = pool.tool(name, *words)
    assert (shown.returncode, "greeter@" in shown.stdout) == (0, True), shown
    address = str(status(pool)[0]["MyAddress"])
    assert "sock=greeter" in address, "condor_shared_port knows it by name"
    asked = pool.tool("condor_config_val", "-address", address, "GREETER_LOG")
    assert asked.stdout.strip().endswith("/GreeterLog"), asked
    pinged = pool.tool("condor_ping", "-address", address, "-table", "READ", "ADMINISTRATOR")
    assert pinged.returncode == 0, pinged
    assert re.search(r"^ *READ +.*ALLOW", pinged.stdout, re.MULTILINE), pinged.stdout


def test_condor_off_ends_it_and_condor_on_brings_it_back(pool: Pool) -> None:
    assert pool.tool("condor_off", "-daemon", "greeter").returncode == 0
    pool.wait_for(lambda: not status(pool), "the greeter's ad to be gone", FOUND_S)
    pool.wait_for(lambda: "EXITING WITH STATUS 0" in pool.log("GREETER"), "its end", FOUND_S)
    assert pool.tool("condor_on", "-daemon", "greeter").returncode == 0
    pool.wait_for(lambda: status(pool), "the greeter to be back", FOUND_S)


def test_it_knows_nothing_of_annexes_or_aws() -> None:
    program = (
        "import sys, annexd.daemoncore.daemon, annexd.daemoncore.main; "
        "print(sorted({each.partition('.')[0] for each in sys.modules} & {'boto3', 'botocore', 'sqlite3'}), "
        "[each for each in sys.modules if each.startswith(('annexd.annex', 'annexd.aws', 'annexd.workflow'))])"
    )
    environment = {**os.environ, "CONDOR_CONFIG": "ONLY_ENV"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=TOP, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["[]", "[]"]

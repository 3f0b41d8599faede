"""condor_annex -quote, and the confirmation of an expensive order: real tools, a real daemon, a terminal."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from annexd.tool import errors
from test.annex.price_excerpt import ADDRESS, INSTANCE, VOLUME, price_file
from test.cloud import Cloud
from test.system.site import REQUEST, TOP, Site
from test.system.tool import condor_annex, key_options
from test.texts import block

PAGE = TOP / "docs" / "quotes.md"
LISTS = {
    "on_demand": {"m5.large": 0.096, "c5.large": 0.085, "t3.micro": 0.0104},
    "gb_month": 0.08,
    "address_hour": 0.005,
}
IMAGE = "ami-03cf127a"
ANSWER_S = 60


@pytest.fixture(scope="module")
def site(cloud: Cloud) -> Iterator[Site]:
    urls = f"ANNEX_DEFAULT_PRICING_URL = {cloud.url}\nANNEX_DEFAULT_QUOTAS_URL = {cloud.url}\n"
    with Site(cloud, urls) as site:
        yield site


@pytest.fixture
def file(site: Site) -> Path:
    """Write a request whose prices are all known; return the file."""
    site.cloud.set_prices(spot={"m5.large": [[-86400, 0.03]]}, **LISTS)
    return written(site)


def written(site: Site, **changes: Any) -> Path:
    volume = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 20, "VolumeType": "gp3"}}
    specification = {"ImageId": IMAGE, "InstanceType": "m5.large", "BlockDeviceMappings": [volume]}
    config = {"TargetCapacity": 2, "LaunchSpecifications": [specification], **changes}
    path = site.pool.directory / "quoted.json"
    path.write_text(json.dumps(config))
    return path


def options(site: Site, *more: str) -> tuple[str, ...]:
    return (*key_options(site), "-lease-duration", "12h", *more)


def test_a_quote_is_text_for_people_and_its_status_says_that_the_order_would_be_taken(site: Site, file: Path) -> None:
    done = condor_annex(site, "-quote", *options(site, str(file)))
    assert done.returncode == errors.OK, done.stderr
    for message in (
        "2 units of Spot until", "at most 2 instances", "m5.large", "$0.0960 a unit and hour", "At most: $",
        "Not in it: traffic", "AWS's Pricing API", "L-34B43A08", "DryRun says yes",
        "not proved by a DryRun: iam:PassRole",
        "The order would not be refused.",
    ):  # fmt: skip
        assert message in done.stdout
    assert site.fleets() == []


def test_a_quote_is_json_for_scripts_and_dry_run_is_another_name_for_it(site: Site, file: Path) -> None:
    done = condor_annex(site, "-dry-run", "-json", *options(site, str(file)))
    quote = json.loads(done.stdout)
    assert quote["Most"]["Unknown"] == []
    assert float(quote["Most"]["Instances"]) == pytest.approx(2 * 0.096 * (12 + 1 / 6), rel=1e-3)
    assert quote["Request"]["TargetCapacity"] == 2


def test_a_quote_that_would_be_refused_has_the_orders_status_and_option_names(site: Site) -> None:
    asked = options(site, "-count", "20000", str(written(site)))
    quoted, ordered = condor_annex(site, "-quote", *asked), condor_annex(site, *asked)
    assert (quoted.returncode, quoted.stderr) == (ordered.returncode, ordered.stderr)
    assert quoted.returncode == errors.REFUSED
    site.cloud.fault("RequestSpotFleet", "denied")
    denied = condor_annex(site, "-quote", *options(site, str(written(site))))
    assert denied.returncode == errors.CLOUD_FAILED
    assert "Refused: RequestSpotFleet (DryRun) was denied" in denied.stdout


@pytest.mark.parametrize("more", [("-yes",), ("-command-id", "a"), ("-save", "-"), ("-wait", "joined")], ids=" ".join)
def test_a_quote_takes_no_option_that_is_an_order_s_alone(site: Site, more: tuple[str, ...]) -> None:
    done = condor_annex(site, "-quote", *options(site, *more, str(REQUEST)))
    assert done.returncode == errors.USAGE
    assert f"{more[0]} cannot be used with -quote, which orders nothing" in done.stderr


def test_an_order_without_a_file_is_quoted_as_it_would_be_sent(site: Site, file: Path) -> None:
    assert file
    typed_words = ("-instance-type", "m5.large,c5.large", "-image", IMAGE, "-count", "3", "-max-price", "0.07")
    done = condor_annex(site, "-quote", "-json", *options(site, *typed_words, "-volume-size", "20G"))
    assert done.returncode == errors.OK, done.stderr
    quote = json.loads(done.stdout)
    assert [pool["InstanceType"] for pool in quote["Pools"]] == ["m5.large", "c5.large"]
    assert {pool["PriceBound"] for pool in quote["Pools"]} == {"0.070000"}
    assert float(quote["Most"]["Instances"]) == pytest.approx(3 * 0.07 * (12 + 1 / 6), rel=1e-3)
    assert quote["Most"]["Unknown"] == []
    wrong = condor_annex(
        site, "-quote", *options(site, "-instance-type", "m5.large", "-image", IMAGE, "-count", "20000")
    )
    assert wrong.returncode == errors.REFUSED
    assert "-count is 20000" in wrong.stderr


@dataclass(frozen=True)
class Typed:
    """The result of a command that was typed at a terminal."""

    returncode: int
    shown: str


def typed(
    site: Site,
    *arguments: str,
    answer: str = "",
    above: str | None = "1",
    piped: bool = False,
    interrupted: bool = False,
) -> Typed:
    """Run condor_annex at a terminal of its own, and type `answer`.

    `piped` sends its output elsewhere; `interrupted` sends Ctrl-C at the question instead of an answer.
    """
    ours, theirs = pty.openpty()
    env = {**site.pool.env, **({"_CONDOR_ANNEX_CONFIRM_ABOVE": above} if above is not None else {})}
    command = [sys.executable, "-m", "annexd.tool.main", *arguments]
    output = subprocess.PIPE if piped else theirs
    child = subprocess.Popen(command, stdin=theirs, stdout=output, stderr=theirs, env=env)
    os.close(theirs)
    if not interrupted:
        os.write(ours, f"{answer}\n".encode())
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
            if interrupted and b"Order it?" in shown:
                child.send_signal(signal.SIGINT)
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    rest = child.communicate(timeout=ANSWER_S)[0] or b""
    return Typed(child.returncode, (shown + rest).decode().replace("\r\n", "\n"))


def test_ctrl_c_at_the_question_orders_nothing(site: Site, file: Path) -> None:
    done = typed(site, *options(site, str(file)), interrupted=True)
    assert done.returncode == errors.INTERRUPTED, done.shown
    assert "interrupted: nothing was ordered" in done.shown


@pytest.mark.parametrize("answer", ["", "n", "no", "perhaps"])
def test_above_the_limit_an_order_at_a_terminal_is_shown_and_without_a_yes_not_made(
    site: Site, file: Path, answer: str
) -> None:
    done = typed(site, *options(site, str(file)), answer=answer)
    assert done.returncode == errors.NOT_CONFIRMED, done.shown
    assert "more than $1.00 (ANNEX_CONFIRM_ABOVE). Order it? [y/N]" in done.shown
    assert "At most: $" in done.shown
    assert "nothing was ordered" in done.shown
    assert not any(str(each["state"]) == "active" for each in site.fleets())


def test_a_confirmed_order_has_the_quoted_bound(site: Site, file: Path) -> None:
    done = typed(site, *options(site, str(file)), answer="y")
    assert done.returncode == errors.OK, done.shown
    [fleet] = [each for each in site.fleets() if each["id"] in done.shown]
    assert [each["SpotPrice"] for each in fleet["config"]["LaunchSpecifications"]] == ["0.096000"]


def test_an_order_of_unknown_cost_needs_confirmation_too(site: Site) -> None:
    done = typed(site, *options(site, str(REQUEST)), answer="n", above="1000000")
    assert done.returncode == errors.NOT_CONFIRMED, done.shown
    assert "The maximum cost is unknown. Order it? [y/N]" in done.shown


@pytest.mark.parametrize(
    ("more", "settings"),
    [((), {"above": "1000"}), ((), {"above": None}), (("-yes",), {}), ((), {"piped": True})],
    ids=["below", "no limit", "-yes", "a script"],
)
def test_nobody_is_asked_below_the_limit_nor_with_yes_nor_in_a_script(
    site: Site, file: Path, more: tuple[str, ...], settings: dict[str, Any]
) -> None:
    done = typed(site, *options(site, *more, str(file)), answer="n", **settings)
    assert done.returncode == errors.OK, done.shown
    assert "Order it?" not in done.shown


def test_a_limit_that_is_not_a_number_is_reported_before_anything_is_ordered(site: Site, file: Path) -> None:
    done = typed(site, *options(site, str(file)), above="much")
    assert done.returncode == errors.USAGE
    assert "ANNEX_CONFIRM_ABOVE must be a number of dollars, not 'much'" in done.shown


def test_no_confirmation_is_asked_for_an_order_that_would_be_refused(site: Site, file: Path) -> None:
    site.cloud.fault("RequestSpotFleet", "denied")
    done = typed(site, *options(site, str(file)), answer="y")
    assert done.returncode == errors.CLOUD_FAILED
    assert "Order it?" not in done.shown


@pytest.mark.parametrize("beginning", ["condor_annex -quote -lease", "condor_annex -quote -json", "condor_annex -yes"])
def test_the_commands_of_the_page_do_what_it_says(site: Site, beginning: str) -> None:
    folder = written(site).parent
    (folder / "config.json").write_text(written(site).read_text())
    configured = {
        "_CONDOR_ANNEX_DEFAULT_ACCESS_KEY_FILE": site.public_key_file,
        "_CONDOR_ANNEX_DEFAULT_SECRET_KEY_FILE": site.secret_key_file,
        "PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}",
    }
    done = site.pool.run("bash", "-c", f"cd {folder}\n{block(PAGE, beginning)}", env=configured)
    assert done.returncode == errors.OK, done.stderr


def test_the_page_s_table_of_prices_is_what_annexd_reads(site: Site, tmp_path: Path) -> None:
    (tmp_path / "templates").symlink_to(TOP / "templates")
    rows = [{**each, "Region Code": "us-east-1"} for each in (INSTANCE, VOLUME, ADDRESS)]
    (tmp_path / "ec2.csv").write_text(price_file(*rows[:2]))
    (tmp_path / "vpc.csv").write_text(price_file(rows[2]))
    path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for beginning in ("templates/generate-prices --urls", "templates/generate-prices us-east-1=ec2.csv"):
        done = site.pool.run("bash", "-c", f"cd {tmp_path}\n{block(PAGE, beginning)}", env=path)
        assert done.returncode == 0, done.stderr
    table = site.pool.directory / "annex-prices.json"
    table.write_text((tmp_path / "annex-prices.json").read_text())
    site.cloud.fault("GetProducts", "denied", times=10)
    site.pool.configure(f"ANNEX_PRICE_TABLE = {table}")
    site.pool.wait_for(lambda: "Reconfigured" in site.log(), "annexd to be reconfigured")
    quote = json.loads(condor_annex(site, "-quote", "-json", *options(site, str(written(site)))).stdout)
    assert quote["PriceSources"] == [f"{table} (us-east-1, published 2026-03-05)"]
    assert quote["Pools"][0]["OnDemandPrice"] == "0.123000"
    assert quote["Rights"]["MissingForQuote"] == ["pricing:GetProducts"]

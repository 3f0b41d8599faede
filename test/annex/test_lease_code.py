"""The deployed lease function is compared with lambda/lease.py, and an administrator hears of any difference."""

import io
import re
import zipfile
from collections.abc import Iterator
from datetime import date

import pytest

from annexd.annex.lease_code import FunctionWatch, own_code
from annexd.workflow import Refused
from test.annex.conftest import TEMPLATE
from test.annex.site import Site
from test.cloud import Cloud
from test.lease.annexes import CODE

TODAY = date(2026, 11, 22)
LATE = date(2029, 6, 1)


@pytest.fixture(scope="module")
def deployed() -> Iterator[tuple[Cloud, str]]:
    """A cloud of its own: its function is changed."""
    with Cloud(speed=0) as cloud:
        yield cloud, cloud.deploy_template(TEMPLATE)


@pytest.fixture(autouse=True)
def as_deployed(site: Site) -> Iterator[None]:
    yield
    change(site, {"index.py": CODE.read_bytes()})
    site.cloud.client("lambda").update_function_configuration(FunctionName=site.arn, Handler="index.handler")


def change(site: Site, files: dict[str, bytes]) -> None:
    """As somebody might by hand, in the console."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    site.cloud.client("lambda").update_function_code(FunctionName=site.arn, ZipFile=buffer.getvalue())


def look(site: Site, watch: FunctionWatch | None = None, today: date = TODAY) -> str:
    return (watch or FunctionWatch()).look(site.cloud.client("lambda"), site.arn, today)


def test_our_own_copy_is_the_one_that_the_template_deploys() -> None:
    assert own_code() == CODE.read_bytes()


def test_the_function_that_the_template_deployed_is_right_whatever_its_zips_hash_is(site: Site) -> None:
    assert look(site) == ""
    change(site, {"index.py": CODE.read_bytes(), "cfnresponse.py": b"# CloudFormation's"})
    assert look(site) == ""


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"index.py": CODE.read_bytes() + b"\n"}, r"is not the lambda/lease\.py of this annexd, leases may not end"),
        ({"lease.py": CODE.read_bytes()}, r"is not the lambda/lease\.py of this annexd"),
        ({"index.py": CODE.read_bytes(), "json.py": b""}, r"has files that are not annexd's \(json\.py\)"),
        ({"index.py": CODE.read_bytes(), "large": bytes(5 * 2**20)}, "could not be compared .* bytes"),
    ],
    ids=["changed", "another name", "a module in the way", "a bomb"],
)
def test_a_function_that_was_changed_by_hand_is_told_with_what_to_do(
    site: Site, files: dict[str, bytes], words: str
) -> None:
    change(site, files)
    told = look(site)
    assert site.arn in told
    assert re.search(words, told), told


def test_another_handler_is_told(site: Site) -> None:
    site.cloud.client("lambda").update_function_configuration(FunctionName=site.arn, Handler="index.other")
    assert "the lease function calls index.other, not index.handler" in look(site)


def test_a_change_and_its_mending_are_noticed_at_the_next_look(site: Site) -> None:
    watch = FunctionWatch()
    assert look(site, watch) == ""
    change(site, {"index.py": b"def handler(event, context): pass"})
    assert "is not the lambda/lease.py" in look(site, watch)
    change(site, {"index.py": CODE.read_bytes()})
    assert look(site, watch) == ""


def test_the_runtime_that_is_deployed_is_the_one_whose_end_is_told(site: Site) -> None:
    assert "support of python3.13" in look(site, today=LATE)


def test_a_function_that_is_gone_is_refused_as_ever(site: Site) -> None:
    with pytest.raises(Refused, match="did not find it"):
        FunctionWatch().look(site.cloud.client("lambda"), f"{site.arn}x", TODAY)

"""Attack annexd in a pool: it must still serve HTCondor's tools and an order."""

import itertools
import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from annexd.cedar.frame import HEADER
from test.attack.target import MB, Target, framed
from test.cloud import Cloud
from test.replies import accepted
from test.system.site import Site

ANSWERED_S = 20.0  # including the start of a tool
GROWTH_KB = 96 * MB
LIMITS = """
ANNEXD_MAX_PENDING_CONNECTIONS = 100
MAX_FILE_DESCRIPTORS = 512
"""


@pytest.fixture(scope="module")
def site(cloud: Cloud) -> Iterator[Site]:
    with Site(cloud, LIMITS, shared_port=False) as site:
        site.wait(site.ad, "annexd's ad")
        yield site


def test_tools_and_an_order_are_answered_while_attackers_fill_the_port_and_send_garbage(site: Site) -> None:
    port = int(re.match(r"<127\.0\.0\.1:(\d+)", address := site.address)[1])  # type: ignore[index]
    target = Target(site.pid(), port)
    accepted(site.order())
    before_kb, garbage = (
        target.memory_kb,
        itertools.cycle(
            [b"", b"GET / HTTP/1.1\r\n\r\n", framed(os.urandom(500)), HEADER.pack(0, 5000) + bytes(5000), b"\1\0\0"]
        ),
    )
    with ExitStack() as connections:
        for number, beginning in zip(range(1000), garbage, strict=False):
            peer = connections.enter_context(target.connect(f"127.0.0.{2 + number % 3}"))
            with suppress(OSError):
                peer.sendall(beginning)
        begun_s = time.monotonic()
        ping = site.pool.tool("condor_ping", "-addr", address, "-table", "ADMINISTRATOR")
        assert "ALLOW" in ping.stdout, ping.stdout + ping.stderr
        assert time.monotonic() - begun_s < ANSWERED_S
        accepted(site.order())
        assert target.memory_kb - before_kb < GROWTH_KB, f"from {before_kb} kB to {target.memory_kb} kB"
        assert target.descriptors < 256
    assert "internal error" not in site.log()
    assert "evicted by a newer connection" in site.log()


def test_it_applies_the_descriptor_limit_and_leaves_no_core_file(site: Site) -> None:
    limits = Path(f"/proc/{site.pid()}/limits").read_text()
    assert re.search(r"Max open files +512 ", limits), limits
    assert re.search(r"Max core file size +0 ", limits), limits

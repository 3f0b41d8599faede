"""Addresses and networks are parsed as by HTCondor."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annexd.authorization.network import parse_network, peer_address

AS_HTCONDOR_READS_THEM = [
    ("10.1.2.3", "10.1.2.3/32"),
    ("10.1.2.*", "10.1.2.0/24"),
    ("10.1.2.", "10.1.2.0/24"),
    ("10.1.2", "10.1.2.0/24"),
    ("10.1.2*", "10.1.2.0/24"),
    ("10.*", "10.0.0.0/8"),
    ("10", "10.0.0.0/8"),
    ("010.1.2.3", "10.1.2.3/32"),
    (".", "0.0.0.0/0"),
    ("10.1.2.3/24", "10.1.2.0/24"),
    ("10.1.2.3/0", "0.0.0.0/0"),
    ("10.1.2.3/", "0.0.0.0/0"),
    ("10.1.2.3/33", "10.1.2.3/32"),
    ("10.1.2.3/99999999999999999999", "10.1.2.3/32"),
    ("10.1.2.3/255.255.0.0", "10.1.0.0/16"),
    ("10.1.2.3/0.255.0.0", "10.0.0.0/8"),
    ("10.1.2.3/0.0.0.0", "0.0.0.0/0"),
    ("::1", "::1/128"),
    ("[::1]", "::1/128"),
    ("fe80::/10", "fe80::/10"),
    ("[fe80::]/10", "fe80::/10"),
    ("2001:db8::1/129", "2001:db8::1/128"),
    ("2001:db8::1/", "::/0"),
    ("fe80:*", "fe80::/16"),
    ("2001:db8:*", "2001:db8::/32"),
    ("1:2:3:4:5:6:7:*", "1:2:3:4:5:6:7:0/112"),
    ("::ffff:10.1.2.3", "10.1.2.3/32"),
    ("[::ffff:a01:203]", "10.1.2.3/32"),
    ("::ffff:10.1.2.3/112", "10.1.0.0/16"),
    ("::ffff:0:0/96", "0.0.0.0/0"),
    ("0:0:0:0:0:ffff:*", "0.0.0.0/0"),
    ("0:0:0:0:0:ffff:a01:*", "10.1.0.0/16"),
    ("::ffff:0:0/95", "::fffe:0:0/95"),
    ("::/0", "::/0"),
]


@pytest.mark.parametrize(("text", "network"), AS_HTCONDOR_READS_THEM)
def test_a_network_is_read_as_htcondor_reads_it(text: str, network: str) -> None:
    assert str(parse_network(text)) == network


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10.1.2.256",
        "10..2",
        "1.2.3.4.5",
        "10.*.2.3",
        "*.2.3",
        "10.1.2.3/255.0.255.0",
        "10.1.2.3/::1",
        "10.1.2.*/24",
        "10.1.2.3/24/8",
        "node.site",
        "fe80::*",
        "[fe80:*]",
        "1[::1]",
        "fe8*:",
        "fe80:*:*",
        "fe80::1%eth0",
        "fe80::/ffff::",
        "::1/-1",
        "١.1.1.1",
    ],
)
def test_text_that_htcondor_rejects_as_a_network_is_none(text: str) -> None:
    assert parse_network(text) is None


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("fe80::1%eth0", "fe80::1"),
        ("2001:DB8::1", "2001:db8::1"),
    ],
)
def test_a_peers_address_is_normalized(text: str, address: str) -> None:
    assert str(peer_address(text)) == address


@given(st.text() | st.text("0123456789.:*/[]%fe-", max_size=30))
def test_any_text_is_a_network_or_none(text: str) -> None:
    parse_network(text)
    peer_address(text)

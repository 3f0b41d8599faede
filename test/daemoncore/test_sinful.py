"""Every session cache of the pool compares addresses as text, so their spelling must be right and always the same."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annexd.daemoncore.sinful import Sinful, read_shared_port_address, remove_address_file, write_address_file

SHARED_PORT_AD = """\
MyAddress = "<127.0.0.1:19650?addrs=127.0.0.1-19650&alias=vm&noUDP&sock=collector>"
SharedPortCommandSinfuls = "<127.0.0.1:19650>"
"""


def test_a_sinful_is_written_as_it_was_parsed() -> None:
    for text in (
        "<127.0.0.1:9618>",
        "<127.0.0.1:9618?addrs=127.0.0.1-9618&alias=vm&noUDP&sock=annexd_1_2>",
        "<[::1]:9618?addrs=[--1]-9618&noUDP>",
    ):
        assert str(Sinful.parse(text)) == text


def test_behind_shared_port_the_address_is_that_of_shared_port_with_the_daemons_id(tmp_path: Path) -> None:
    (tmp_path / "ad").write_text(SHARED_PORT_AD)
    address = read_shared_port_address(tmp_path / "ad").behind_shared_port("annexd_19804_ca11")
    assert str(address) == "<127.0.0.1:19650?addrs=127.0.0.1-19650&alias=vm&noUDP&sock=annexd_19804_ca11>"


def test_the_private_address_of_shared_port_gets_the_daemons_id_too() -> None:
    """HTCondor's daemons spell it in the same way."""
    shared_port = Sinful.parse(
        "<10.0.0.7:9618?PrivAddr=%3c192.168.1.2:9618%3fsock%3dcollector%3e&PrivNet=inner&alias=vm&noUDP&sock=collector>"
    )
    assert str(shared_port.behind_shared_port("annexd_1_2")) == (
        "<10.0.0.7:9618?PrivAddr=%3c192.168.1.2:9618%3fsock%3dannexd_1_2%3e&PrivNet=inner&alias=vm&noUDP"
        "&sock=annexd_1_2>"
    )
    plain = Sinful.parse("<[::1]:9618?PrivAddr=%3c[fd00::1]:9618%3fa%3db%26noUDP%3e>").behind_shared_port("x")
    assert str(plain) == "<[::1]:9618?PrivAddr=%3c[fd00::1]:9618%3fa%3db%26noUDP%26sock%3dx%3e&noUDP&sock=x>"


def test_an_own_port_carries_the_alias_that_ssl_clients_verify() -> None:
    address = Sinful.own_port([("10.0.0.7", 40000)], "vm.site")
    assert str(address) == "<10.0.0.7:40000?addrs=10.0.0.7-40000&alias=vm.site&noUDP>"
    assert str(Sinful.own_port([("::1", 40000)], "vm")) == "<[::1]:40000?addrs=[--1]-40000&alias=vm&noUDP>"
    both = Sinful.own_port([("10.0.0.7", 40000), ("fd00::2", 40000)], "vm")
    assert str(both) == "<10.0.0.7:40000?addrs=10.0.0.7-40000+[fd00--2]-40000&alias=vm&noUDP>"


@given(st.text())
def test_any_other_text_is_refused_and_never_reaches_the_bindings(text: str) -> None:
    try:
        Sinful.parse(text)
    except ValueError:
        return
    assert "\n" not in text.strip()


def test_a_shared_port_ad_without_an_address_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ad").write_text("SharedPortCommandSinfuls = 1\n")
    with pytest.raises(ValueError, match="no MyAddress"):
        read_shared_port_address(tmp_path / "ad")


def test_only_the_daemons_own_address_file_is_removed(tmp_path: Path) -> None:
    ours, other = Sinful("127.0.0.1", 1), Sinful("127.0.0.1", 2)
    path = tmp_path / "address"
    write_address_file(path, other, "$CondorVersion: 25.14.1 $", "$CondorPlatform: X $")
    remove_address_file(path, ours)
    assert path.read_text() == "<127.0.0.1:2>\n$CondorVersion: 25.14.1 $\n$CondorPlatform: X $\n"
    remove_address_file(path, other)
    remove_address_file(path, other)
    assert not path.exists()

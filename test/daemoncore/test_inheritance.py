"""condor_master's environment, as recorded from 25.14.1 and 23.9.6."""

import pytest

from annexd.daemoncore.process.inheritance import Inheritance, MalformedInheritance, SharedPortSocket

PARENT = "<127.0.0.1:19618?addrs=127.0.0.1-19618&alias=vm&noUDP&sock=master_9254_5de9>"
COOKIE = "ab" * 32


def inherit(text: str) -> Inheritance | None:
    return Inheritance.from_environment({"CONDOR_INHERIT": text})


def test_behind_shared_port_the_unix_socket_and_its_id_are_inherited() -> None:
    inherited = inherit(f"9254 {PARENT} 0 SharedPort:{COOKIE}/annexd_9254_5de9*9*6*0*0*0*0***1**0*0*0*0*0*0*0* 0 ")
    assert inherited == Inheritance(9254, PARENT, SharedPortSocket(9, "annexd_9254_5de9"))


def test_without_shared_port_the_tcp_socket_is_inherited_and_the_udp_one_is_unused() -> None:
    inherited = inherit(
        "5707 <127.0.0.1:37901?addrs=127.0.0.1-37901&alias=vm> 0 "
        "1 11*6*0*0*0*0***1**0*0*0*0*0*0*0* 2 12*2*0*0*0*0***0** 0"
    )
    assert inherited is not None
    assert inherited.tcp_descriptors == (11,)
    assert inherited.unused_descriptors == (12,)


def test_with_both_versions_of_ip_two_tcp_sockets_are_inherited() -> None:
    inherited = inherit(
        "5707 <127.0.0.1:37901?addrs=127.0.0.1-37901+[--1]-37901&alias=vm> 0 "
        "1 11*6*0*0*0*0***1**0*0*0*0*0*0*0* 2 12*2*0*0*0*0***0** "
        "1 13*6*0*0*0*0***1**0*0*0*0*0*0*0* 2 14*2*0*0*0*0***0** 0"
    )
    assert inherited is not None
    assert (inherited.tcp_descriptors, inherited.unused_descriptors) == ((11, 13), (12, 14))


def test_a_parent_without_a_listening_socket_leaves_none() -> None:
    inherited = inherit("9254 <127.0.0.1:0?alias=vm&sock=master_9254_5de9> 0 0 ")
    assert inherited == Inheritance(9254, "<127.0.0.1:0?alias=vm&sock=master_9254_5de9>")


def test_without_a_parent_nothing_is_inherited() -> None:
    assert Inheritance.from_environment({}) is None
    assert inherit("  ") is None


@pytest.mark.parametrize(
    "text",
    [
        "x <a:1> 0 0",
        "12",
        f"12 {PARENT} 0 1",
        f"12 {PARENT} 0 1 x*6 0",
        f"12 {PARENT} 0 SharedPort:cookie/name 0",
        f"12 {PARENT} 0 1 -4*6 0",
    ],
)
def test_a_malformed_inheritance_is_named(text: str) -> None:
    with pytest.raises(MalformedInheritance, match="CONDOR_INHERIT is malformed"):
        inherit(text)

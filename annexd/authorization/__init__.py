"""Decide authorization by HTCondor's permission levels and its ALLOW_* and DENY_* lists, without I/O.

A list such as ALLOW_ADMINISTRATOR must mean the same to annexd as to every daemon of the pool, so the semantics are
those of HTCondor's condor_ipverify.cpp, with these intended differences:

* An entry that is an address or a network matches addresses only.  HTCondor also matches its text with the peer's host
  names, so that 10.1.* matches the host 10.1.example.com.
* A hole is open to inherited sessions only.  HTCondor's is open to every peer that authenticates as condor@family.
* A token whose only scope is condor:/ permits nothing.  HTCondor treats it as unlimited.
* A negative mask is invalid, and a mask of 2**31 bits or more is a full one.  HTCondor's integers overflow.

test/authorization/vectors has HTCondor's verdicts and the program that recorded them.
"""

from annexd.authorization.peer import Lookups, Membership, Peer
from annexd.authorization.policy import FAMILY, PARENT, AuthorizationPolicy, Hole, Verdict

__all__ = ["FAMILY", "PARENT", "AuthorizationPolicy", "Hole", "Lookups", "Membership", "Peer", "Verdict"]

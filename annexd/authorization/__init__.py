"""Who may do what: HTCondor's permission levels and the ALLOW_* and DENY_* lists.  No I/O.

What an administrator reads in ALLOW_ADMINISTRATOR must hold for annexd as for every daemon of the pool, so
the semantics are those of HTCondor's condor_ipverify.cpp, but for these, on purpose:

* An entry that is an address or a network is compared with addresses only.  HTCondor compares its text with
  the peer's host names too, so that 10.1.* is also the host 10.1.example.com.
* A hole is open to inherited sessions only.  HTCondor's is open to whoever authenticates as condor@family.
* A token whose only scope is condor:/ is limited to nothing.  HTCondor takes it as not limited.
* A mask that is negative is none, and one of 2**31 bits or more is a full one.  HTCondor's overflow.

test/authorization/vectors holds HTCondor's own verdicts, and the program that recorded them.
"""

from annexd.authorization.peer import Lookups, Membership, Peer
from annexd.authorization.policy import FAMILY, PARENT, AuthorizationPolicy, Hole, Verdict

__all__ = ["FAMILY", "PARENT", "AuthorizationPolicy", "Hole", "Lookups", "Membership", "Peer", "Verdict"]

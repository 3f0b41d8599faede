"""Whether a connection authenticates, encrypts and checks integrity: both sides' wishes, reconciled by tables.

After SecMan::ReconcileSecurityPolicyAds and SecMan::FillInSecurityPolicyAd (condor_secman.cpp).
"""

from dataclasses import dataclass
from enum import IntEnum


class Want(IntEnum):
    """One side's wish for one feature; the order is that of strength."""

    NEVER = 0
    OPTIONAL = 1
    PREFERRED = 2
    REQUIRED = 3


@dataclass(frozen=True)
class SecurityPolicy:
    """SEC_<level>_*: what this daemon wants for commands of one level.  The defaults are HTCondor's.

    methods: of authentication, by preference, spelled FS, IDTOKENS, ...; only those that can work now.
    """

    authentication: Want = Want.OPTIONAL
    encryption: Want = Want.OPTIONAL
    integrity: Want = Want.OPTIONAL
    negotiation: Want = Want.PREFERRED
    methods: tuple[str, ...] = ("FS", "IDTOKENS")
    crypto_methods: tuple[str, ...] = ("AES",)
    session_duration_s: int = 86400
    session_lease_s: int = 3600

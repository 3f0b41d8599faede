"""SEC_TOKEN_REVOCATION_EXPR: an administrator's expression over the claims of a token, which says whether it counts.

As in HTCondor (Condor_Auth_Passwd::isTokenRevoked), whatever is not a clear no is a yes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import classad2

from annexd.daemon.parameters import Parameters, is_expression

KNOBS = ("SEC_TOKEN_REVOCATION_EXPR", "SEC_TOKEN_BLACKLIST_EXPR")  # the second is how it was called before 9.0
INTEGERS = range(-(2**63), 2**63)


@dataclass(frozen=True)
class Revocation:
    """expression: "" revokes nothing."""

    expression: str = ""

    @classmethod
    def read(cls, look_up: Parameters) -> "Revocation":
        """An expression that cannot be parsed is a fault; HTCondor's daemons would then revoke nothing."""
        knob = next((knob for knob in KNOBS if look_up.text(knob)), KNOBS[0])
        expression = look_up.text(knob)
        if expression and not is_expression(expression):
            look_up.faults.append(f'{knob} must be a ClassAd expression, not "{expression}"')
        return cls(expression)

    def is_revoked(self, claims: Mapping[str, object]) -> bool:
        if not self.expression:
            return False
        try:
            verdict = classad2.ExprTree(self.expression).eval(_ad_of(claims))
        except (classad2.ClassAdException, ValueError, TypeError, OverflowError, SystemError):
            return True
        is_boolean = isinstance(verdict, bool | int | float) and not isinstance(verdict, classad2.Value)
        return bool(verdict) if is_boolean else True


def _ad_of(claims: Mapping[str, object]) -> classad2.ClassAd:
    """Booleans, numbers and strings; lists and objects are left out, as HTCondor does.  Of two claims that differ in
    case, the one in small letters is the one that counts elsewhere: it is put in last.
    """
    ad = classad2.ClassAd()
    for name, value in sorted(claims.items()):
        if isinstance(value, int) and value not in INTEGERS:
            ad[name] = float(value)
        elif isinstance(value, bool | int | float | str):
            ad[name] = value
    return ad

"""SEC_TOKEN_REVOCATION_EXPR: an administrator's expression over a token's claims that revokes the token if true.

As in HTCondor (Condor_Auth_Passwd::isTokenRevoked), any result other than false revokes the token.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import classad2

from annexd.condor import bindings
from annexd.condor.values import INTEGERS, Unsafe
from annexd.daemoncore import log
from annexd.daemoncore.config.parameters import Parameters, is_expression

KNOBS = ("SEC_TOKEN_REVOCATION_EXPR", "SEC_TOKEN_BLACKLIST_EXPR")  # the second is its name before 9.0


@dataclass(frozen=True)
class Revocation:
    """The expression; "" revokes nothing."""

    expression: str = ""

    @classmethod
    def read(cls, look_up: Parameters) -> "Revocation":
        """Read the expression; a syntax error is a fault here, while HTCondor's daemons would revoke nothing."""
        knob = next((knob for knob in KNOBS if look_up.text(knob)), KNOBS[0])
        expression = look_up.text(knob)
        if expression and not is_expression(expression):
            look_up.faults.append(f'{knob} must be a ClassAd expression, not "{expression}"')
        return cls(expression)

    def is_revoked(self, claims: Mapping[str, object]) -> bool:
        if not self.expression:
            return False
        try:
            verdict = bindings.expression(self.expression).eval(_ad_of(claims))
        except Unsafe as error:
            log.security(f"Treating a token as revoked: {error}")
            return True
        except (classad2.ClassAdException, ValueError, TypeError, OverflowError, SystemError):
            return True
        is_boolean = isinstance(verdict, bool | int | float) and not isinstance(verdict, classad2.Value)
        return bool(verdict) if is_boolean else True


def _ad_of(claims: Mapping[str, object]) -> bindings.Ad:
    """Make an ad of the boolean, number and string claims; HTCondor also omits lists and objects.

    If two claims differ only in case, the lower-case one counts elsewhere, so it is inserted last.
    """
    scalars = {name: value for name, value in sorted(claims.items()) if isinstance(value, bool | int | float | str)}
    return bindings.claims_ad(
        {
            name: float(value) if isinstance(value, int) and value not in INTEGERS else value
            for name, value in scalars.items()
        }
    )

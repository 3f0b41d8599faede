"""The intended differences, each of which is a row of docs/differences.md and occurs in the full matrix."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "differences.md"
LISTED = re.compile(r"[=, ](1\*|\[127\.0\.0\.1\])(?=[ ,;]|$)", re.MULTILINE)
# It also matches a host name that NO_DNS takes for an address, but not a netmask.
WHOLE_IPV4_ADDRESS = re.compile(r"(?<![\d.])(?<!\d/)\d+(\.\d+){3}(/3[2-9])?(?=[\s,;]|$)|\d+(-\d+){3}\.", re.MULTILINE)
ENDS_AT_SIGN = re.compile(r"\*@(?=[\s,;]|$)", re.MULTILINE)  # a user without a domain; 23.9.6 matches every user
TWO_DOMAINS = "CLAIMTOBE as alice@annexd.test"  # 23.9.6 stops at the first one
REFUSED = "Failed to start command."


@dataclass(frozen=True)
class Finding:
    """One difference between two responses; `what` is an attribute of the session's ad, or "the answer"."""

    server: str
    client: str
    level: str
    what: str
    schedd: str
    annexd: str

    @property
    def is_refusal(self) -> bool:
        return self.what == "the answer" and self.annexd == REFUSED

    @property
    def kind(self) -> tuple[str, ...]:
        """Return the kind of the difference; findings of the same kind probably have the same cause."""
        return self.what, self.schedd, self.annexd, self.client.partition(",")[0]

    def __str__(self) -> str:
        return (
            f"{self.level} for {self.client}, daemons with {self.server!r}: {self.what} is {self.schedd!r} from "
            f"the schedd, {self.annexd!r} from annexd"
        )


@dataclass(frozen=True)
class KnownDifference:
    """An intended difference; `row` is the start of its row in docs/differences.md."""

    row: str
    explains: Callable[[Finding], bool]


def _is_23() -> bool:
    return os.environ.get("HTCONDOR_SERIES") == "23"


def _only_offers(finding: Finding, *methods: str) -> bool:
    """Return whether the schedd offers only these methods in addition to annexd's."""
    ours = finding.annexd.split(",") if finding.annexd else []
    more = {method.upper() for method in finding.schedd.split(",") if method not in ours}
    return finding.what in ("AuthMethodsList", "AuthMethods") and more <= set(methods)


KNOWN = (
    KnownDifference("BLOWFISH and 3DES", lambda found: found.what == "CryptoMethodsList" and found.annexd == "AES"),
    KnownDifference("KERBEROS, SCITOKENS", lambda found: _only_offers(found, "KERBEROS", "SCITOKENS", "FS_REMOTE")),
    KnownDifference("methods that cannot work", lambda found: _only_offers(found, "TOKEN", "PASSWORD")),
    KnownDifference("`IssuerKeys`", lambda found: found.what == "IssuerKeys" and "signing" in found.server.lower()),
    KnownDifference(
        "holes for the family",
        lambda found: found.is_refusal and ("of the family" in found.client or "as condor of family" in found.client),
    ),
    KnownDifference(
        "a token whose only scope is `condor:/`",
        lambda found: found.is_refusal and "limited to nothing" in found.client,
    ),
    KnownDifference(
        "token without `iat`",
        lambda found: found.is_refusal and "without its age" in found.client and "MAX_AGE" in found.server,
    ),
    KnownDifference(
        "a token whose scope", lambda found: found.schedd == "no answer in time" and "scopes in a list" in found.client
    ),
    KnownDifference(
        "tokens as HTCondor 23.9.6 reads them",
        lambda found: any(
            name in found.client for name in ("without an id", "with an empty id", "with a fraction of a second")
        ),
    ),
    KnownDifference(
        "an IPv4 address in a list of HTCondor 23.9.6",
        lambda found: _is_23() and found.what == "the answer" and bool(WHOLE_IPV4_ADDRESS.search(found.server)),
    ),
    KnownDifference(
        "`*` with an end behind it, in a list of HTCondor 23.9.6",
        lambda found: (
            _is_23()
            and found.what == "the answer"
            and (bool(ENDS_AT_SIGN.search(found.server)) or found.client.startswith(TWO_DOMAINS))
        ),
    ),
    KnownDifference(
        "authentication that fails and was not required",
        lambda found: _is_23() and found.schedd == REFUSED and found.annexd.startswith("unauthenticated@unmapped by"),
    ),
    KnownDifference(
        "a name server that does not answer",
        lambda found: (
            found.schedd == "no answer in time" and found.annexd == REFUSED and "NO_DNS = False" in found.server
        ),
    ),
    KnownDifference(
        "an IPv4 address or network written as one of IPv6",
        lambda found: found.what == "the answer" and "::ffff:" in found.server,
    ),
    KnownDifference(
        "an address or network in a list",
        lambda found: found.what == "the answer" and bool(LISTED.search(found.server)),
    ),
)


def known_difference(finding: Finding) -> KnownDifference | None:
    return next((each for each in KNOWN if each.explains(finding)), None)


def rows() -> list[str]:
    """Return the first cell of each row of the document."""
    lines = DOCUMENT.read_text().splitlines()
    return [line.split("|")[1].strip() for line in lines if line.startswith("| ")]

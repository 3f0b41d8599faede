"""The lease of a fleet, which is stored in the fleet's client token and tags.

The token holds the end that was ordered and cannot be changed.  One tag moves that end; another ends the lease at once.
lambda/lease.py ends expired fleets, so the end of a lease does not depend on annexd, or on anything else outside AWS.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from annexd.annex.lease.identifiers import EARLIEST_END_S, is_end, read_leased_token

TAG_ANNEX_ID: Final = "htcondor:annex-id"
TAG_OWNER: Final = "htcondor:annex-owner"
TAG_LEASE_END: Final = "htcondor:annex-lease-end"
TAG_CANCELLED: Final = "htcondor:annex-cancelled"  # on a fleet; never removed, and wins over everything
TAG_NAME: Final = "htcondor:annex-name"  # only if its user gave it one
TAG_FLEET: Final = "htcondor:annex-fleet"  # on instances, by the lease function: with ID and end, its stamp
NOT_IN_TAGS: Final = re.compile(r"[^\w +\-=.:/@]", re.ASCII)  # EC2 accepts all others
UTC_TEXT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
UTC_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"
LONGEST_TAG: Final = 256


def utc(moment_s: float) -> str:
    """Format a time as AWS does: 2026-11-22T16:20:00Z."""
    return datetime.fromtimestamp(int(moment_s), UTC).strftime(UTC_FORMAT)


def moment_s(text: str) -> float | None:
    """Parse a time that `utc` wrote; return None for any other text."""
    try:
        return datetime.strptime(text, UTC_FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def tags(annex_id: str, owner: str, end_of_lease_s: int, name: str | None = None) -> list[dict[str, str]]:
    """Return the tags that show people and tools who owns a fleet and when its lease ends."""
    return [
        {"Key": TAG_ANNEX_ID, "Value": annex_id},
        {"Key": TAG_OWNER, "Value": NOT_IN_TAGS.sub("_", owner)[:LONGEST_TAG]},
        {"Key": TAG_LEASE_END, "Value": utc(end_of_lease_s)},
        *([{"Key": TAG_NAME, "Value": name}] if name else []),
    ]


def end_in_tag(text: object) -> int | None:
    """Return the end in a tag; None for text that `utc` does not write, and for impossible dates."""
    if not isinstance(text, str) or not UTC_TEXT.fullmatch(text):
        return None
    end_s = moment_s(text)
    return int(end_s) if end_s is not None and is_end(int(end_s)) else None


def lease_end(token: object, tags: Mapping[str, str], created_s: float | None, max_lease_s: float) -> float | None:
    """Return the end of a fleet's lease, in seconds since the epoch; None if the fleet belongs to no annex.

    `tags` are the fleet's, `created_s` its creation, `max_lease_s` the stack's limit after that.  An unreadable tag
    counts as missing.  Without a creation time the end is never later than the token's.  A fleet with TAG_CANCELLED is
    always over; then the result is the time of cancellation, but not before the creation.

    lambda/lease.py has the same function, and test/lease/vectors.json checks both: a difference would end leases early,
    or not at all.
    """
    ordered = read_leased_token(token)
    if ordered is None:
        return None
    moved_s = end_in_tag(tags.get(TAG_LEASE_END))
    latest_s = ordered.end_of_lease_s if created_s is None else created_s + max_lease_s
    end_s = min(ordered.end_of_lease_s if moved_s is None else moved_s, latest_s)
    if TAG_CANCELLED not in tags:
        return end_s
    return min(end_s, max(end_in_tag(tags[TAG_CANCELLED]) or 0, created_s or EARLIEST_END_S))

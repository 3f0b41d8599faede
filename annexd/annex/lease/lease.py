"""The lease of a fleet: part of the fleet itself, in its client token and its tags.

The token holds the end that was ordered, and nobody can change it.  One tag moves that end, another ends the lease at
once.  lambda/lease.py ends whatever is over, so nothing depends on annexd, or on anything else outside AWS, to be
alive by then.
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
TAG_NAME: Final = "htcondor:annex-name"  # only where its user gave it one
TAG_FLEET: Final = "htcondor:annex-fleet"  # on instances, by the lease function: with ID and end, its stamp
NOT_IN_TAGS: Final = re.compile(r"[^\w +\-=.:/@]", re.ASCII)  # EC2 takes the rest
UTC_TEXT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
UTC_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"
LONGEST_TAG: Final = 256


def utc(moment_s: float) -> str:
    """As AWS writes times: 2026-11-22T16:20:00Z."""
    return datetime.fromtimestamp(int(moment_s), UTC).strftime(UTC_FORMAT)


def moment_s(text: str) -> float | None:
    """The moment that `utc` wrote; None for any other text."""
    try:
        return datetime.strptime(text, UTC_FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def tags(annex_id: str, owner: str, end_of_lease_s: int, name: str | None = None) -> list[dict[str, str]]:
    """For people, and for whoever looks for what is left: whose it is, and until when."""
    return [
        {"Key": TAG_ANNEX_ID, "Value": annex_id},
        {"Key": TAG_OWNER, "Value": NOT_IN_TAGS.sub("_", owner)[:LONGEST_TAG]},
        {"Key": TAG_LEASE_END, "Value": utc(end_of_lease_s)},
        *([{"Key": TAG_NAME, "Value": name}] if name else []),
    ]


def end_in_tag(text: object) -> int | None:
    """The end that a tag holds; None for what `utc` does not write, and for dates that cannot be meant."""
    if not isinstance(text, str) or not UTC_TEXT.fullmatch(text):
        return None
    end_s = moment_s(text)
    return int(end_s) if end_s is not None and is_end(int(end_s)) else None


def lease_end(token: object, tags: Mapping[str, str], created_s: float | None, max_lease_s: float) -> float | None:
    """When the lease of a fleet ends, in seconds since the epoch; None for a fleet that is not an annex's.

    `tags` are the fleet's, `created_s` its creation, `max_lease_s` the stack's limit after that.  An unreadable tag
    counts as none.  Without a creation nothing moves the end beyond the token's.  A fleet with TAG_CANCELLED is over
    whatever this says; it says since when, and not before the creation.

    lambda/lease.py has the same function, and test/lease/vectors.json holds both to it: a second opinion
    would end leases early, or not at all.
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

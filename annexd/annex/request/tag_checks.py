"""Check the tags of a request: their resources, and keys that annexd sets itself."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from annexd.annex.lease.lease import (
    TAG_ANNEX_ID,
    TAG_CANCELLED,
    TAG_FLEET,
    TAG_LEASE_END,
    TAG_NAME,
    TAG_OWNER,
)
from annexd.annex.request.config_members import Part, parts, specifications
from annexd.annex.request.faults import shown

RESERVED: Final = frozenset({TAG_ANNEX_ID, TAG_CANCELLED, TAG_FLEET, TAG_LEASE_END, TAG_NAME, TAG_OWNER})
MOST_TAGS: Final = 50  # EC2 user guide, "Tag restrictions": of a resource
# botocore's EC2 model, Tag: "Tag keys ... accept a maximum of 127 Unicode characters. May not begin with aws:."
LONGEST_KEY: Final = 127
LONGEST_VALUE: Final = 256


def faults_of_tags(config: Part, resource: str = "spot-fleet-request") -> Iterator[str]:
    """Yield faults of tags.

    Botocore's EC2 model says of the request: "ResourceType must be spot-fleet-request, otherwise the Spot Fleet request
    fails"; and of a launch specification: "the only resource type that is supported is instance".
    """
    for path, holder, tagged in _holders(config, resource):
        keys: list[str] = []
        for inner, entry in parts(holder, "TagSpecifications", path):
            yield from _faults_of_resource(inner, entry, tagged)
            for where, tag in parts(entry, "Tags", inner):
                yield from _faults_of_tag(where, tag)
                keys.append(str(tag.get("Key")))
        yield from _faults_of_keys(f"{path}TagSpecifications", keys)


def _holders(config: Part, resource: str) -> Iterator[tuple[str, Part, str]]:
    yield "", config, resource
    yield from ((path, holder, "instance") for path, holder in specifications(config))


def _faults_of_resource(path: str, entry: Part, resource: str) -> Iterator[str]:
    given = entry.get("ResourceType", "")
    if given is not None and given != resource:
        what = f"not {shown(given)}" if given else "and is missing"
        kind = "an EC2 Fleet" if resource == "fleet" else "a Spot Fleet"
        yield f"{path}ResourceType must be {resource}, {what}: {kind} tags nothing else there"


def _faults_of_tag(path: str, tag: Part) -> Iterator[str]:
    key, value = tag.get("Key", ""), tag.get("Value") or ""
    if key is None:
        return
    if not key:
        yield f"{path}Key is missing"
    elif key in RESERVED:
        yield f"{path}Key is {key}, which is reserved for annexd"
    elif key.lower().startswith("aws:"):
        yield f"{path}Key is {shown(key)}: tags that begin with aws: are reserved for AWS"
    elif len(key) > LONGEST_KEY or len(value) > LONGEST_VALUE:
        yield f"{path[:-1]} is too long: a key has at most {LONGEST_KEY} characters, a value {LONGEST_VALUE}"


def _faults_of_keys(path: str, keys: list[str]) -> Iterator[str]:
    """Yield faults by the EC2 user guide, "Tag restrictions": each key once on a resource."""
    repeated = [key for key, times in Counter(keys).items() if times > 1]
    if repeated:
        yield f"{path} has the key {shown(repeated[0])} more than once"
    if len(keys) > MOST_TAGS - len(RESERVED):
        most = MOST_TAGS - len(RESERVED)
        own = len(RESERVED)
        yield f"{path} has {len(keys)} tags, the limit is {most}: AWS allows {MOST_TAGS}, and annexd sets {own}"

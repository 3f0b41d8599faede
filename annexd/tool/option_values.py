"""Parse option values.  Each parser returns a value or raises ValueError with the expected form."""

from collections.abc import Callable
from typing import Any, Final

from annexd.annex.request import launch_values
from annexd.annex.request.durations import positive, read_duration
from annexd.annex.request.fleet_api import OPTIONS, read_api
from annexd.tool.goal import Goal, read_goal
from annexd.tool.options import MAX_STACK_NAME
from annexd.tool.times import read_time


def _count(text: str) -> int:
    return positive(text, "a number above 0")


def _regions(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return each region once; a region is part of AWS's host names."""
    for text in texts:
        parts = text.split("-")
        is_name = all(part.isascii() and part.isalpha() and part.islower() for part in parts[:-1])
        if len(parts) < 3 or not (is_name and parts[-1].isascii() and parts[-1].isdigit()):
            raise ValueError("an AWS region such as us-east-1")
    return tuple(dict.fromkeys(texts))


def _vpc(text: str) -> str:
    if not _is_id(text, "vpc-"):
        raise ValueError("a VPC ID such as vpc-0123456789abcdef0")
    return text


def _subnets(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return each subnet once; one value may have several, separated by commas."""
    ids = [each for text in texts for each in text.replace(",", " ").split()]
    if not ids or not all(_is_id(each, "subnet-") for each in ids):
        raise ValueError("a subnet ID such as subnet-0123456789abcdef0")
    return tuple(dict.fromkeys(ids))


def _is_id(text: str, prefix: str) -> bool:
    rest = text.removeprefix(prefix)
    return rest != text and 0 < len(rest) <= 17 and set(rest) <= set("0123456789abcdef")


def _stack_name(text: str) -> str:
    plain = text.replace("-", "")
    if not (text[:1].isalpha() and plain.isascii() and plain.isalnum() and len(text) <= MAX_STACK_NAME):
        raise ValueError(f"at most {MAX_STACK_NAME} letters, digits and hyphens, and begin with a letter")
    return text


def annex(text: str) -> str:
    plain = all(letter.isalnum() or letter in "._-" for letter in text) and text.isascii()
    if not (plain and text[:1].isalnum() and len(text) <= 128):
        raise ValueError("an annex ID, a fleet ID or an annex name")
    return text


def _url(text: str) -> str:
    if not text.startswith(("https://", "http://")):
        raise ValueError("a URL that begins with https://")
    return text


def _name(text: str) -> str:
    """Return a safe name: HTCondor's bindings insert it into an expression unescaped."""
    if not text or not text.isprintable() or set(text) & set('"\\'):
        raise ValueError("a daemon name as shown by condor_status -subsystem annexd")
    return text


def _pool(text: str) -> str:
    """Return a valid address: HTCondor's bindings abort the process at an invalid one."""
    if not text or not all(letter.isalnum() or letter in "-_.:[]" for letter in text) or not text.isascii():
        raise ValueError("HOST or HOST:PORT")
    return text


def _command_id(text: str) -> str:
    known = text.isascii() and text[:1].isalnum() and all(letter.isalnum() or letter in "._:@+=/-" for letter in text)
    if not known or len(text) > 128:
        raise ValueError("a command ID as printed by condor_annex")
    return text


def _job(text: str) -> str:
    """Return a job's ID; that of another access point's begins with its name, as GlobalJobId does."""
    schedd, hash_, job = text.rpartition("#") if "#" in text else ("", "", text)
    cluster, dot, proc = job.partition(".")
    numbers = [cluster, proc] if dot else [cluster]
    is_id = all(each.isascii() and each.isdigit() and len(each) <= 9 for each in numbers)
    if not is_id or (hash_ and not schedd) or not schedd.isprintable() or set(schedd) & set('"\\ '):
        raise ValueError("a job such as 123.4, or SCHEDD#123.4 of another access point")
    return text if dot else f"{text}.0"


def _offer(text: str) -> str:
    if not (text.isascii() and text.replace("_", "").isalnum() and text[0].isalpha() and len(text) <= 32):
        raise ValueError("an offer as shown by condor_annex -offers")
    return text


def _limit(text: str) -> int:
    return positive(text, "a number of annexes above 0")


def _by(text: str) -> str:
    if text != "owner":
        raise ValueError("owner")
    return text


def _fleet_api(text: str) -> str:
    api = read_api(text)
    if api is None:
        raise ValueError(" or ".join(OPTIONS.values()))
    return api


def _goal(text: str) -> Goal:
    return read_goal(text) if text else Goal()


CONVERSIONS: Final[dict[str, Callable[[Any], Any]]] = {
    "region": _regions,
    "stack_name": _stack_name,
    "vpc_id": _vpc,
    "subnet_ids": _subnets,
    "max_lease_s": read_duration,
    "timeout_s": read_duration,
    "goal": _goal,
    "command_id": _command_id,
    "cancel": annex,
    "extend_s": read_duration,
    "until_s": read_time,
    "resize_to": _count,
    "since_s": read_time,
    "limit": _limit,
    "by": _by,
    "why": _job,
    "pause": _offer,
    "resume": _offer,
    "lease_duration_s": read_duration,
    "idle_s": read_duration,
    "fleet_api": _fleet_api,
    "s3_url": _url,
    "sts_url": _url,
    "target_capacity": _count,
    "instance_types": launch_values.instance_types,
    "cpus": launch_values.cpus,
    "memory_mib": launch_values.memory_mib,
    "gpus": launch_values.gpus,
    "image": launch_values.image,
    "max_price": launch_values.max_price,
    "key_name": launch_values.key_name,
    "volume_gib": launch_values.volume_gib,
    "ssm_url": _url,
    "service_url": _url,
    "events_url": _url,
    "lambda_url": _url,
    "logs_url": _url,
    "name": _name,
    "pool": _pool,
}

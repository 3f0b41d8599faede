"""Values of -instance-type, -cpus, -memory and the like: text becomes a value, or ValueError with a message.

Sizes are read as HTCondor reads request_memory: 8G, 8GB and 8GiB are 8192 MiB, and a number alone has the unit that is
usual for it.  The limits are twice what the largest instances have, so a typing error is reported here.
"""

import math
from typing import Final

UNITS: Final = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
MOST_CPUS: Final = 4096  # u7inh-32tb.480xlarge has 1,920
MOST_MIB: Final = 64 * 2**20  # it has 32 TiB
MOST_GPUS: Final = 32  # p2.16xlarge has 16
MOST_GIB: Final = 65536  # of a gp3 volume (botocore's EC2 model, EbsBlockDevice)
MOST_PRICE: Final = 1000  # dollars an hour, twice that of the most expensive instances
LONGEST_KEY_NAME: Final = 255  # botocore's EC2 model, CreateKeyPairRequest
LONGEST_NUMBER: Final = 18


def instance_types(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return each type once; one value may have several, separated by commas."""
    from annexd.annex.request.formats import INSTANCE_TYPE  # its patterns take time that a usage message need not spend

    types = [each.strip() for text in texts for each in text.split(",")]
    if wrong := [each for each in types if not INSTANCE_TYPE.fullmatch(each)]:
        raise ValueError(f"instance types separated by commas, such as m5.large,m6i.large ({wrong[0]!r} is not one)")
    return tuple(dict.fromkeys(types))


def cpus(text: str) -> int:
    return _number(text, MOST_CPUS)


def gpus(text: str) -> int:
    return _number(text, MOST_GPUS)


def memory_mib(text: str) -> int:
    return _size(text, "M", MOST_MIB, "such as 8G, 8GiB or 8192 (megabytes, as in request_memory), at most 64T")


def volume_gib(text: str) -> int:
    return _size(text, "G", MOST_GIB, f"such as 50G or 50 (gigabytes), at most {MOST_GIB}")


def image(text: str) -> str:
    """Return the image in AWS's spelling, which has `resolve:` before `ssm:`."""
    from annexd.annex.request.formats import AMI, IMAGE_PARAMETER

    spelled = f"resolve:{text}" if text.startswith("ssm:") else text
    if not AMI.fullmatch(spelled) and not IMAGE_PARAMETER.fullmatch(spelled):
        raise ValueError("an image ID such as ami-0123456789abcdef0, or ssm: and a parameter, such as ssm:/images/ours")
    return spelled


def max_price(text: str) -> str:
    """Return the price in dollars, as text, as in AWS's model."""
    from annexd.annex.request.formats import PRICE

    if not PRICE.fullmatch(text) or not text.strip("0.") or float(text) > MOST_PRICE:
        raise ValueError(f"dollars an hour for one machine, above 0 and at most {MOST_PRICE}, such as 0.05")
    return text


def key_name(text: str) -> str:
    if not (text.strip() and text.isascii() and text.isprintable() and len(text) <= LONGEST_KEY_NAME):
        raise ValueError("the name of a key pair of the region, for ssh")
    return text


def _number(text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER and 0 < int(text) <= most):
        raise ValueError(f"a number from 1 to {most}")
    return int(text)


def _size(text: str, unit: str, most: int, expected: str) -> int:
    """Return the size in this unit, rounded up."""
    upper = text.upper().replace(" ", "").removesuffix("B")
    upper = upper.removesuffix("I") if upper[-2:-1] in UNITS else upper
    given = upper[-1:] if upper[-1:] in UNITS else unit
    digits = upper.removesuffix(given)
    whole, dot, rest = digits.partition(".")
    is_number = whole.isdigit() and (rest.isdigit() if dot else True) and text.isascii()
    size = float(digits) * UNITS[given] / UNITS[unit] if is_number and len(digits) <= LONGEST_NUMBER else 0.0
    if not 0 < size <= most:
        raise ValueError(f"a size above 0, {expected}")
    return math.ceil(size)

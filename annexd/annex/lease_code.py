"""Whether the lease function that is deployed is lambda/lease.py, byte for byte.

Everything that is proved of leases is proved of that file.  A function that somebody changed by hand, or that an older
template deployed, may do less; so annexd compares, and warns.  It does not refuse: an old lease is better than none.
"""

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any, Final

from annexd.annex.lambda_runtime import warning
from annexd.annex.shipped import places, shipped
from annexd.annex.steps.asking import asking
from annexd.aws import NoCode, answers, function_files

PLACE: Final = ("lambda", "lease.py")
FILE: Final = "index.py"  # as CloudFormation names inline code
HANDLER: Final = "index.handler"
HARMLESS: Final = frozenset({FILE, "cfnresponse.py"})  # which it may put beside it
LONGEST_NAME: Final = 128  # of a handler, a runtime or a digest, as AWS has them
DEPLOY: Final = "deploy annexd's template again"


@lru_cache(maxsize=1)
def own_code() -> bytes | None:
    """lambda/lease.py as it came with this annexd; None where it is missing."""
    return shipped(*PLACE)


class FunctionWatch:
    """Remembers which code was compared already: the code is fetched again only when AWS says that it changed."""

    def __init__(self) -> None:
        self._compared: dict[tuple[str, str], str] = {}

    def look(self, functions: Any, arn: str, today: date) -> str:
        """What an administrator should know of the deployed function; empty when all is well.

        Blocks.  Raises Retry or Refused when AWS does not tell.
        """
        with asking(f"GetFunction {arn}"):
            told = functions.get_function(FunctionName=arn)
            configuration = answers.value(told, "Configuration", dict)
        faults = [self._fault_of_code(arn, told, functions.meta.endpoint_url), _fault_of_handler(configuration)]
        faults.append(warning(today, str(configuration.get("Runtime"))[:LONGEST_NAME]) or "")
        return "; ".join(fault for fault in faults if fault)

    def _fault_of_code(self, arn: str, told: Mapping[str, Any], endpoint_url: str) -> str:
        key = arn, str(told["Configuration"].get("CodeSha256"))[:LONGEST_NAME]
        if key not in self._compared:
            try:
                self._compared[key] = fault_of(arn, function_files(str(told["Code"]["Location"]), endpoint_url))
            except (NoCode, KeyError) as error:
                return f"the lease function {arn} could not be compared with lambda/lease.py: {error}"
        return self._compared[key]


def fault_of(arn: str, files: Mapping[str, bytes]) -> str:
    """What is wrong with the code, in words; empty when nothing is."""
    own = own_code()
    if own is None:
        nowhere = ", ".join(str(path.parent) for path in places(*PLACE))
        return f"annexd's own copy of {'/'.join(PLACE)} is in none of {nowhere}: install annexd again"
    if files.get(FILE) != own:
        return f"the lease function {arn} is not the {'/'.join(PLACE)} of this annexd, leases may not end: {DEPLOY}"
    if strangers := sorted(files.keys() - HARMLESS):
        return f"the lease function {arn} has files that are not annexd's ({', '.join(strangers)[:200]}): {DEPLOY}"
    return ""


def _fault_of_handler(configuration: Mapping[str, Any]) -> str:
    handler = str(configuration.get("Handler"))[:LONGEST_NAME]
    return "" if handler == HANDLER else f"the lease function calls {handler}, not {HANDLER}: {DEPLOY}"

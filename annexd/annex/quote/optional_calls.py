"""Ask AWS for data that a quote can do without: if the permission is missing, it is unknown and nothing is refused."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from annexd.aws import errors
from annexd.aws.errors import AWS_ERRORS

Answer = TypeVar("Answer")
LONGEST: Final = 300
MOST: Final = 20


class OptionalCalls:
    """Collects the missing permissions and the other failures of calls, each once."""

    def __init__(self) -> None:
        self.missing: dict[str, None] = {}
        self.troubles: dict[str, None] = {}

    def call(self, right: str, act: Callable[[], Answer]) -> Answer | None:
        """Return the result of the call, or None.  `right`: IAM's name of the action that it needs."""
        if right in self.missing:
            return None
        try:
            return act()
        except AWS_ERRORS as error:
            self._keep(right, error)
        except Exception as error:
            if not errors.is_shape_error(error):
                raise
            self.note(errors.describe_shape(error, right))
        return None

    def note(self, message: str) -> None:
        """Keep a message, cut to LONGEST; at most MOST messages, since a hostile endpoint could cause any number."""
        if len(self.troubles) < MOST:
            self.troubles[message[:LONGEST]] = None

    def _keep(self, right: str, error: Any) -> None:
        if errors.is_denied(error):
            self.missing[right] = None
        else:
            self.note(errors.describe(error, right))

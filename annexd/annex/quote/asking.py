"""Ask AWS for what a quote is better with, and can be without: a right that is missing makes it unknown, no refusal."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from annexd.aws import errors
from annexd.aws.errors import AWS_ERRORS

Answer = TypeVar("Answer")
LONGEST: Final = 300
MOST: Final = 20


class Asking:
    """Keeps which rights were missing, and what else kept AWS from answering; each once."""

    def __init__(self) -> None:
        self.missing: dict[str, None] = {}
        self.troubles: dict[str, None] = {}

    def ask(self, right: str, call: Callable[[], Answer]) -> Answer | None:
        """Return what the call gives, or None.  `right`: IAM's name of the action that it needs."""
        if right in self.missing:
            return None
        try:
            return call()
        except AWS_ERRORS as error:
            self._keep(right, error)
        except Exception as error:
            if not errors.is_shape_error(error):
                raise
            self.trouble(errors.describe_shape(error, right))
        return None

    def trouble(self, message: str) -> None:
        """Keep what else there is to say; not of everything that a hostile endpoint could be asked."""
        if len(self.troubles) < MOST:
            self.troubles[message[:LONGEST]] = None

    def _keep(self, right: str, error: Any) -> None:
        if errors.is_denied(error):
            self.missing[right] = None
        else:
            self.trouble(errors.describe(error, right))

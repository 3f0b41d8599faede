"""Count the calls to AWS that were sent, failed or were throttled, by service."""

import threading
from collections import Counter
from typing import Final

SERVICES: Final = {"ec2": "EC2", "lambda": "Lambda", "logs": "Logs", "s3": "S3", "sts": "STS"}  # botocore's: ours
CALLS, ERRORS, THROTTLES = "Calls", "Errors", "Throttles"


class CallCounts:
    """Calls since the start of the process.  Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = Counter[tuple[str, str]]()

    def add(self, service: str, *what: str) -> None:
        """Count a call, an error (also `not found`, or no response at all) or a throttled call of a service."""
        with self._lock:
            self._counts.update((service, each) for each in what)

    def counters(self) -> dict[str, int]:
        """Return them as attributes of the daemon's ad, zeros included: AnnexEC2Calls, AnnexEC2Errors, ..."""
        with self._lock:
            return {
                f"Annex{name}{what}": self._counts[service, what]
                for service, name in SERVICES.items()
                for what in (CALLS, ERRORS, THROTTLES)
            }

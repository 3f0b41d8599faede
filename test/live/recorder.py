"""Record each response of AWS as received, and replay it to clients.

The format is that of test/cloud/recording.py; test/cloud/test_recordings.py compares each response with that of the
emulated AWS.  The recording is the input of botocore's parser: status and body.  Headers are omitted, since annexd
reads none and they reveal much about the caller.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from botocore.awsrequest import AWSResponse

from test.cloud.recording import Recording as Recording

ASKED = "rehearsal_asked"


@dataclass
class Recorder:
    """Clients given to `watch` add their responses to `recordings`, under the current fact."""

    because: str = ""
    recordings: list[Recording] = field(default_factory=list)

    def watch(self, client: Any) -> Any:
        client.meta.events.register("before-parameter-build", self._asked)
        client.meta.events.register("after-call", self._answered)
        return client

    def _asked(self, params: Any, context: dict[str, Any], **_: object) -> None:
        context[ASKED] = json.loads(json.dumps(params, default=str, sort_keys=True))

    def _answered(self, http_response: Any, model: Any, context: dict[str, Any], **_: object) -> None:
        body = http_response.content.decode("utf-8", "replace")
        service = model.service_model.service_name
        self.recordings.append(
            Recording(
                service=service,
                operation=model.name,
                status=http_response.status_code,
                asked=context.get(ASKED, {}),
                body=body,
                because=self.because,
                at_s=round(time.time(), 1),
            )
        )


def as_json(recordings: Sequence[Recording]) -> list[dict[str, Any]]:
    return [asdict(each) for each in recordings]


def replay(client: Any, recordings: Sequence[Recording]) -> Any:
    """Let a client receive these responses in order, for any call of these operations, without a network."""
    left = list(recordings)

    def answer(model: Any, **_: object) -> tuple[AWSResponse, dict[str, Any]]:
        at = next(i for i, each in enumerate(left) if each.operation == model.name)
        response = left.pop(at)
        metadata = {"HTTPStatusCode": response.status, "HTTPHeaders": {}, "RetryAttempts": 0}
        return AWSResponse("", response.status, {}, None), {**response.response(), "ResponseMetadata": metadata}

    client.meta.events.register("before-call", answer)
    return client

"""Lambda's API beyond moto: concurrency, the log group, updates that take their time, conflicts, settings of
asynchronous calls, and a function's whole resource policy.

Source (CERTAIN unless marked): Lambda API reference, and developer guide, "Understanding Lambda function scaling":
1,000 functions at once in a region and account, fewer in new accounts; 100 must stay unreserved; "Lambda function
states": an update is InProgress at first, and the next one is refused meanwhile.
"""

from __future__ import annotations

import json
import time
import uuid
from typing import Any, ClassVar
from urllib.parse import unquote

import moto.awslambda.urls
from moto.awslambda.exceptions import (
    InvalidParameterValueException,
    LambdaClientError,
    UnknownEventConfig,
    UnknownFunctionException,
)
from moto.awslambda.models import EventInvokeConfig
from moto.awslambda.responses import LambdaResponse

from test.cloud.behaviour import Behaviour, Chosen

UNRESERVED_AT_LEAST = 100  # in an account with less than that in all, nothing can be reserved: LIKELY
ALSO = (r"{0}/(?P<api_version>[^/]+)/account-settings/?$", r"{0}/(?P<api_version>[^/]+)/resource-policy/(?P<arn>.+)$")


class Settings(LambdaResponse):  # type: ignore[misc]  # moto has no types
    """A part of ActingLambda."""

    chosen: ClassVar[Chosen] = Chosen(Behaviour())

    def create_function(self) -> Any:
        answered = super().create_function()
        self._note_log_group(self.backend.get_function(self.json_body["FunctionName"].rsplit(":", 1)[-1], None))
        return answered

    def update_function_configuration(self) -> Any:
        function = self._updating()
        super().update_function_configuration()
        if "LoggingConfig" in self.json_body:
            self._note_log_group(function)
        return json.dumps(function.get_configuration())

    def update_function_code(self) -> Any:
        function = self._updating()
        super().update_function_code()
        return json.dumps(function.get_configuration())

    def _updating(self) -> Any:
        """Return the function, and refuse its next update for a while.  Raises ConflictError during an update."""
        function = self.backend.get_function(unquote(self.path.rsplit("/", 2)[-2]), None)
        if is_updating(function):
            raise ConflictError(
                "The operation cannot be performed at this time. "
                f"An update is in progress for resource: {function.function_arn}"
            )
        function.updating_until_s = time.monotonic() + self.chosen.now.update_s
        return function

    def _note_log_group(self, function: Any) -> None:
        function.logging_config = _own_log(function) | (self.json_body.get("LoggingConfig") or {})

    def add_permission(self) -> str:
        statement_id = self.json_body["StatementId"]
        function = self.backend.get_function(unquote(self.path.split("/")[-2]), None)
        if any(each.get("Sid") == statement_id for each in function.policy.statements):
            raise ConflictError(
                f"The statement id ({statement_id}) provided already exists. Please provide a new "
                "statement id, or remove the existing statement."
            )
        return str(super().add_permission())

    def put_function_concurrency(self) -> Any:
        """Reserve concurrency; 0 stops a function: nothing can call it."""
        name, wanted = unquote(self.path.rsplit("/", 2)[-2]), self._get_param("ReservedConcurrentExecutions")
        others = sum(
            int(each.reserved_concurrency or 0) for each in self.backend.list_functions() if each.function_name != name
        )
        if wanted and self.chosen.now.concurrency - others - int(wanted) < UNRESERVED_AT_LEAST:
            raise InvalidParameterValueException(
                "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
                f"below its minimum value of [{UNRESERVED_AT_LEAST}]."
            )
        return super().put_function_concurrency()

    def get_account_settings(self) -> str:
        functions, limit = list(self.backend.list_functions()), self.chosen.now.concurrency
        reserved = sum(int(each.reserved_concurrency or 0) for each in functions)
        limits = {
            "ConcurrentExecutions": limit,
            "UnreservedConcurrentExecutions": limit - reserved,
            "TotalCodeSize": 80_530_636_800,
            "CodeSizeUnzipped": 262_144_000,
            "CodeSizeZipped": 52_428_800,
        }
        usage = {"FunctionCount": len(functions), "TotalCodeSize": sum(int(each.code_size) for each in functions)}
        return json.dumps({"AccountLimit": limits, "AccountUsage": usage})

    def put_resource_policy(self) -> str:
        """Replace the policy that GetPolicy shows; only this call can add a Deny (that the Deny wins: LIKELY)."""
        function = self.backend.get_function(unquote(self.path.rpartition("/resource-policy/")[2]), None)
        function.policy.statements = json.loads(self.json_body["Policy"])["Statement"]
        return json.dumps({"Policy": self.json_body["Policy"], "RevisionId": function.policy.revision})

    def put_function_event_invoke_config(self) -> str:
        """Replace the settings; moto keeps the older ones, shows the oldest, and knows no qualifiers."""
        return self._keep(self._of_qualifier(), {})

    def update_function_event_invoke_config(self) -> str:
        """Change the named settings; the others stay."""
        function = self._configured()
        return self._keep(function, function.event_invoke_config[0].config)

    def get_function_event_invoke_config(self) -> str:
        return _answer(self._configured())

    def delete_function_event_invoke_config(self) -> Any:
        self._configured().event_invoke_config = []
        return 204, {"status": 204}, "{}"

    def _keep(self, function: Any, before: dict[str, Any]) -> str:
        if not self.json_body:
            wording = "You must specify at least one of error handling or destination setting."
            raise InvalidParameterValueException(wording)
        config = EventInvokeConfig(_latest(function), time.time(), before | self.json_body)
        function.event_invoke_config = [config]
        return _answer(function)

    def _configured(self) -> Any:
        function = self._of_qualifier()
        if not function.event_invoke_config:
            raise UnknownEventConfig(_latest(function))
        return function

    def _of_qualifier(self) -> Any:
        """Return the function; versions and aliases are not emulated, only $LATEST exists."""
        function = self.backend.get_function(unquote(self.path.rsplit("/", 2)[1]), None)
        qualifier = self._get_param("Qualifier") or "$LATEST"
        if qualifier != "$LATEST":
            raise UnknownFunctionException(f"{function.function_arn}:{qualifier}")
        return function


class ConflictError(LambdaClientError):  # type: ignore[misc]  # moto has no types
    code = 409

    def __init__(self, message: str) -> None:
        super().__init__("ResourceConflictException", message)


def is_updating(function: Any) -> bool:
    return time.monotonic() < float(getattr(function, "updating_until_s", 0.0))


def with_settings(function: Any, configuration: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration as every call shows it.  CERTAIN: test/cloud/recordings/functions.json."""
    more = {"RevisionId": str(uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(configuration, sort_keys=True, default=str)))}
    if is_updating(function):
        more |= {"LastUpdateStatus": "InProgress", "LastUpdateStatusReasonCode": "Creating"}
        more |= {"LastUpdateStatusReason": "The function is being created."}
    return configuration | more | {"LoggingConfig": getattr(function, "logging_config", _own_log(function))}


def _own_log(function: Any) -> dict[str, str]:
    return {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{function.function_name}"}


def _latest(function: Any) -> str:
    return f"{function.function_arn}:$LATEST"


def _answer(function: Any) -> str:
    return json.dumps(function.event_invoke_config[0].response())


def add_paths() -> None:
    for pattern in ALSO:
        moto.awslambda.urls.url_paths[pattern] = Settings.dispatch

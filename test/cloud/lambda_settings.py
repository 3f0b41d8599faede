"""What Lambda's API tells and takes beyond moto: concurrency, the log group, and a function's whole resource policy.

Source (CERTAIN unless said): Lambda API reference, and developer guide, "Understanding Lambda function scaling": 1,000
functions at once in a region and account, new accounts less; of what is not reserved, 100 must stay.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar
from urllib.parse import unquote

import moto.awslambda.urls
from moto.awslambda.exceptions import InvalidParameterValueException
from moto.awslambda.responses import LambdaResponse

from test.cloud.behaviour import Behaviour, Chosen

UNRESERVED_AT_LEAST = 100  # in an account with less than that in all, nothing can be reserved: LIKELY
ALSO = (r"{0}/(?P<api_version>[^/]+)/account-settings/?$", r"{0}/(?P<api_version>[^/]+)/resource-policy/(?P<arn>.+)$")


class Settings(LambdaResponse):  # type: ignore[misc]  # moto has no types
    """A part of ActingLambda."""

    chosen: ClassVar[Chosen] = Chosen(Behaviour())

    def create_function(self) -> Any:
        told = super().create_function()
        self._note_log_group(self.json_body["FunctionName"].rsplit(":", 1)[-1])
        return told

    def update_function_configuration(self) -> Any:
        told = super().update_function_configuration()
        if "LoggingConfig" in self.json_body:
            self._note_log_group(unquote(self.path.rsplit("/", 2)[-2]))
        return told

    def _note_log_group(self, name: str) -> None:
        function = self.backend.get_function(name, None)
        own = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{function.function_name}"}
        function.logging_config = own | (self.json_body.get("LoggingConfig") or {})

    def put_function_concurrency(self) -> Any:
        """0 stops a function: nothing calls it."""
        name, wanted = unquote(self.path.rsplit("/", 2)[-2]), self._get_param("ReservedConcurrentExecutions")
        others = sum(int(each.reserved_concurrency or 0) for each in self.backend.list_functions()
                     if each.function_name != name)
        if wanted and self.chosen.now.concurrency - others - int(wanted) < UNRESERVED_AT_LEAST:
            raise InvalidParameterValueException(
                "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
                f"below its minimum value of [{UNRESERVED_AT_LEAST}]."
            )
        return super().put_function_concurrency()

    def get_account_settings(self) -> str:
        functions, limit = list(self.backend.list_functions()), self.chosen.now.concurrency
        reserved = sum(int(each.reserved_concurrency or 0) for each in functions)
        limits = {"ConcurrentExecutions": limit, "UnreservedConcurrentExecutions": limit - reserved}
        return json.dumps({"AccountLimit": limits, "AccountUsage": {"FunctionCount": len(functions)}})

    def put_resource_policy(self) -> str:
        """The one call by which a Deny comes into the policy that GetPolicy shows (which of the two wins: LIKELY)."""
        function = self.backend.get_function(unquote(self.path.rpartition("/resource-policy/")[2]), None)
        function.policy.statements = json.loads(self.json_body["Policy"])["Statement"]
        return json.dumps({"Policy": self.json_body["Policy"], "RevisionId": function.policy.revision})

    def put_function_event_invoke_config(self) -> Any:
        """moto keeps the older ones, and tells the oldest."""
        self.backend.get_function(unquote(self.path.rsplit("/", 2)[1]), None).event_invoke_config = []
        return super().put_function_event_invoke_config()

    update_function_event_invoke_config = put_function_event_invoke_config


def add_paths() -> None:
    for pattern in ALSO:
        moto.awslambda.urls.url_paths[pattern] = Settings.dispatch

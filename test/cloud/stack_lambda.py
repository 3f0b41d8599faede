"""A function in a stack, its permissions, and the settings of its asynchronous calls."""

from __future__ import annotations

import io
import json
import time
import zipfile
from typing import Any

from botocore.exceptions import ClientError

from test.cloud.stack_kinds import Client, ExistingError, HandlerError, Kind, Made, Properties

PATIENCE_S = 60.0  # for an update of a function to become effective
LOOK_S = 0.05
UNSET: Properties = {"Description": "", "Environment": {"Variables": {}}}  # the values of removed properties


class Function(Kind):
    NAME = "FunctionName"
    CREATE_ONLY = ("FunctionName", "PackageType")
    SETTINGS = ("Description", "Runtime", "Handler", "Role", "Timeout", "MemorySize", "Environment", "LoggingConfig")

    def create(self, client: Client, name: str, properties: Properties) -> Made:
        code = {"ZipFile": zipped(properties["Code"]["ZipFile"])}
        try:
            made = client("lambda").create_function(FunctionName=name, Code=code, **self._settings(properties))
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceConflictException":
                raise ExistingError(str(error)) from error
            raise
        return Made(name, {"Arn": made["FunctionArn"]})

    def mark(self, client: Client, made: Made, tags: dict[str, str]) -> None:
        client("lambda").tag_resource(Resource=made.attributes["Arn"], Tags=tags)

    def update(self, client: Client, name: str, properties: Properties) -> Made:
        functions = client("lambda")
        functions.update_function_code(FunctionName=name, ZipFile=zipped(properties["Code"]["ZipFile"]))
        _wait_until_updated(functions, name)
        made = functions.update_function_configuration(FunctionName=name, **UNSET | self._settings(properties))
        _wait_until_updated(functions, name)
        return Made(name, {"Arn": made["FunctionArn"]})

    def _settings(self, properties: Properties) -> Properties:
        return {key: properties[key] for key in self.SETTINGS if key in properties}

    def read(self, client: Client, name: str) -> Properties | None:
        """Return the settings without the code, a write-only property, whose changes drift detection cannot see."""
        answered = client("lambda").get_function(FunctionName=name)["Configuration"]
        return {key: answered.get(key) for key in self.SETTINGS}

    def delete(self, client: Client, name: str) -> None:
        client("lambda").delete_function(FunctionName=name)


def _wait_until_updated(functions: Any, name: str) -> None:
    """Wait, because Lambda refuses the next change until LastUpdateStatus is Successful (CERTAIN)."""
    deadline_s = time.monotonic() + PATIENCE_S
    while functions.get_function(FunctionName=name)["Configuration"]["LastUpdateStatus"] == "InProgress":
        if time.monotonic() > deadline_s:
            raise HandlerError(f"Timed out waiting for the update of {name}")
        time.sleep(LOOK_S)


def zipped(code: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("index.py"), code)
    return buffer.getvalue()


class Permission(Kind):
    """A permission; its physical ID is statement|function.  It cannot be changed, only replaced."""

    CREATE_ONLY = ("FunctionName", "Action", "Principal", "SourceArn", "SourceAccount", "PrincipalOrgID")

    def create(self, client: Client, name: str, properties: Properties) -> Made:
        client("lambda").add_permission(StatementId=name, **properties)
        return Made(f"{name}|{properties['FunctionName']}")

    def subject(self, name: str, properties: Properties) -> str:  # noqa: ARG002
        return function_of(properties)

    def read(self, client: Client, name: str) -> Properties | None:
        statement_id, function = name.split("|")
        policy = json.loads(client("lambda").get_policy(FunctionName=function)["Policy"])
        return next(({} for each in policy["Statement"] if each["Sid"] == statement_id), None)

    def delete(self, client: Client, name: str) -> None:
        statement_id, function = name.split("|")
        client("lambda").remove_permission(FunctionName=function, StatementId=statement_id)


class EventInvokeConfig(Kind):
    """A configuration of asynchronous calls; its physical ID is function|qualifier.

    Its create handler has only the permission to Put, so it overwrites an existing one.
    """

    CREATE_ONLY = ("FunctionName", "Qualifier")
    SETTINGS = ("MaximumRetryAttempts", "MaximumEventAgeInSeconds")

    def create(self, client: Client, name: str, properties: Properties) -> Made:  # noqa: ARG002
        function, qualifier = properties["FunctionName"], properties["Qualifier"]
        settings = {key: int(properties[key]) for key in self.SETTINGS if key in properties}
        client("lambda").put_function_event_invoke_config(FunctionName=function, Qualifier=qualifier, **settings)
        return Made(f"{function}|{qualifier}")

    def subject(self, name: str, properties: Properties) -> str:  # noqa: ARG002
        return f"{function_of(properties)}:{properties['Qualifier']}"

    def update(self, client: Client, name: str, properties: Properties) -> Made:
        function, qualifier = name.split("|")
        settings = {key: int(properties[key]) for key in self.SETTINGS if key in properties}
        client("lambda").update_function_event_invoke_config(FunctionName=function, Qualifier=qualifier, **settings)
        return Made(name)

    def read(self, client: Client, name: str) -> Properties | None:
        function, qualifier = name.split("|")
        answered = client("lambda").get_function_event_invoke_config(FunctionName=function, Qualifier=qualifier)
        return {key: answered.get(key) for key in self.SETTINGS}

    def delete(self, client: Client, name: str) -> None:
        function, qualifier = name.split("|")
        client("lambda").delete_function_event_invoke_config(FunctionName=function, Qualifier=qualifier)


def function_of(properties: Properties) -> str:
    """Return the function's name, from a name or an ARN."""
    return str(properties["FunctionName"]).rpartition("function:")[2]

"""CloudFormation's API: its operations in moto's routing table, carried out by our own stacks."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, ClassVar, TypeVar

import botocore.session
import moto.cloudformation.urls
from botocore.config import Config
from botocore.loaders import Loader
from moto.cloudformation.exceptions import AlreadyExistsException, CloudFormationError, ValidationError
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.config import default_user_config
from moto.core.responses import ActionResult, EmptyResult

from test.cloud import principals
from test.cloud.gate import Gate
from test.cloud.keys import SECRET_ACCESS_KEY
from test.cloud.principals import Session
from test.cloud.stack import Denied, Permit, Stack, Wanted
from test.cloud.stack_kinds import Client
from test.cloud.stack_parameters import shown_parameters
from test.cloud.stack_template import TemplateError, parsed
from test.cloud.stacks import Stacks

T = TypeVar("T")
AGENT = "cloudformation.amazonaws.com"  # as CloudTrail shows calls that CloudFormation makes for its caller
# AWS, CloudFormation user guide, "Considerations when detecting drift"; "" is the stack itself.
DRIFT_ALSO = {"cloudformation:DetectStackResourceDrift": "", "cloudformation:BatchDescribeTypeConfigurations": "*"}
UPDATABLE = frozenset(
    {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE", "UPDATE_FAILED"}
)

NAMES_IN_IAM = frozenset({"RoleName", "InstanceProfileName", "ManagedPolicyName", "GroupName", "UserName"})
PLAYED = frozenset({"StackName", "TemplateBody", "UsePreviousTemplate", "Parameters", "Capabilities", "RoleARN"})


class ActingCloudFormation(CloudFormationResponse):  # type: ignore[misc]  # moto has no types
    """CloudFormation's operations; `install` sets `stacks`, `url` and `gate`."""

    stacks: Stacks
    url: Callable[[], str]
    gate: Gate | None
    RESPONSE_KEY_PATH_TO_TRANSFORMER: ClassVar[dict[str, Any]] = {}  # moto's are for its own objects

    @property
    def _asked(self) -> dict[str, Any]:
        parameters: dict[str, Any] = self.normalized_request.environ["cloud.request"].parameters()
        return parameters

    def _acting_for(self, stack: Stack | None = None) -> tuple[Client, Permit]:
        """Return a factory of clients with the key of the stack's role, or the caller's, and a check of its rights."""
        request, gate = self.normalized_request.environ["cloud.request"], type(self).gate
        key, token = request.access_key_id, request.headers.get("x-amz-security-token")
        if role_arn := self._asked.get("RoleARN") or (stack.role_arn if stack else ""):
            made = _assumed(role_arn, self.region)
            key, token = made.access_key_id, made.session_token

        def permit(action: str, resource: str) -> None:
            wording = gate.denial_of(request, key, action, resource) if gate is not None else None
            if wording:
                raise Denied(f"{wording} (Service: CloudFormation, Status Code: 403)")

        return as_caller(key, token, self.region, type(self).url()), permit

    def _act(self, stack: Stack) -> None:
        """Make all further work on a stack use the right key."""
        stack.client, stack.permit = self._acting_for(stack)
        stack.role_arn = self._asked.get("RoleARN") or stack.role_arn

    def _permitted(self, action: str, resource: str) -> None:
        _, permit = self._acting_for()
        try:
            permit(action, resource)
        except Denied as denied:
            raise AccessDeniedError(str(denied)) from denied

    def _stack(self, name: str) -> Stack:
        stack = self.stacks.named(self.region, name)
        if stack is None:
            raise ValidationError(name)
        return stack

    def create_stack(self) -> ActionResult:
        asked = self._asked
        _check_known(asked)
        name, body, given = asked["StackName"], asked["TemplateBody"], asked.get("Parameters") or []
        if self.stacks.named(self.region, name):
            raise AlreadyExistsException(f"Stack [{name}] already exists")
        _need_capability(body, asked.get("Capabilities") or [])
        client, permit = self._acting_for()
        new = Stack(name, "", self.region, Wanted(body, {}), client, permit, asked.get("RoleARN") or "")
        self._try(lambda: self.stacks.create(new, given))
        return ActionResult({"StackId": new.stack_id})

    def update_stack(self) -> ActionResult:
        asked = self._asked
        _check_known(asked)
        stack, body = self._stack(asked["StackName"]), asked.get("TemplateBody")
        if (body is None) != _is_true(asked.get("UsePreviousTemplate")):
            raise ValidationError(message="Either Template URL or Template Body must be specified.")
        if stack.status not in UPDATABLE:
            raise ValidationError(message=f"Stack:{stack.stack_id} is in {stack.status} state and can not be updated.")
        _need_capability(stack.wanted.body if body is None else body, asked.get("Capabilities") or [])
        wanted = self._try(lambda: self.stacks.changed(stack, body, asked.get("Parameters") or []))
        self._act(stack)
        self.stacks.update(stack, wanted)
        return ActionResult({"StackId": stack.stack_id})

    def _try(self, do: Callable[[], T]) -> T:
        try:
            return do()
        except TemplateError as error:
            raise ValidationError(message=str(error)) from error

    def delete_stack(self) -> ActionResult:
        stack = self.stacks.named(self.region, self._asked["StackName"])
        if stack is not None and stack.status not in {"DELETE_IN_PROGRESS", "DELETE_COMPLETE"}:
            self._act(stack)
            self.stacks.delete(stack)
        return EmptyResult()

    def continue_update_rollback(self) -> ActionResult:
        stack = self._stack(self._asked["StackName"])
        if stack.status != "UPDATE_ROLLBACK_FAILED":
            raise ValidationError(message=f"Stack:{stack.stack_id} is in {stack.status} state")
        self._act(stack)
        self.stacks.roll_back(stack)
        return EmptyResult()

    def describe_stacks(self) -> ActionResult:
        name = self._asked.get("StackName")
        stacks = [self._stack(name)] if name else self.stacks.all_of(self.region)
        return ActionResult({"Stacks": [_described(stack) for stack in stacks]})

    def describe_stack_events(self) -> ActionResult:
        return ActionResult({"StackEvents": list(reversed(self._stack(self._asked["StackName"]).events))})

    def describe_stack_resources(self) -> ActionResult:
        stack = self._stack(self._asked["StackName"])
        response = [
            {
                "StackName": stack.name,
                "StackId": stack.stack_id,
                "LogicalResourceId": each.logical_id,
                "PhysicalResourceId": each.made.physical_id,
                "ResourceType": each.kind,
                "ResourceStatus": "CREATE_COMPLETE",
                "Timestamp": stack.created,
            }
            for each in stack.resources.values()
        ]
        return ActionResult({"StackResources": response})

    def get_template(self) -> ActionResult:
        return ActionResult({"TemplateBody": self._stack(self._asked["StackName"]).wanted.body})

    def detect_stack_drift(self) -> ActionResult:
        stack = self._stack(self._asked["StackName"])
        for action, resource in DRIFT_ALSO.items():
            self._permitted(action, resource or stack.stack_id)
        stack.client, stack.permit = self._acting_for()
        self.stacks.detect_drift(stack)
        return ActionResult({"StackDriftDetectionId": stack.stack_id.rpartition("/")[2]})

    def describe_stack_drift_detection_status(self) -> ActionResult:
        wanted = self._asked["StackDriftDetectionId"]
        for stack in self.stacks.all_of(self.region):
            if stack.stack_id.endswith(wanted):
                return ActionResult(
                    {
                        "StackId": stack.stack_id,
                        "StackDriftDetectionId": wanted,
                        "DetectionStatus": "DETECTION_IN_PROGRESS",
                        "Timestamp": stack.created,
                        **stack.drift,
                    }
                )
        raise ValidationError(wanted)

    def describe_stack_resource_drifts(self) -> ActionResult:
        asked = self._asked
        wanted = asked.get("StackResourceDriftStatusFilters")
        drifts = self._stack(asked["StackName"]).drifts
        response = [each for each in drifts if not wanted or each["StackResourceDriftStatus"] in wanted]
        return ActionResult({"StackResourceDrifts": response})


def _described(stack: Stack) -> dict[str, Any]:
    """Return a stack as DescribeStacks shows it.

    Empty lists are left out, except Tags and NotificationARNs.  CERTAIN: test/cloud/recordings.
    """
    capability = ["CAPABILITY_IAM"] if "AWS::IAM::" in stack.wanted.body else None
    return {
        "StackId": stack.stack_id,
        "StackName": stack.name,
        "Description": stack.template.get("Description"),
        "CreationTime": stack.created,
        "StackStatus": stack.status,
        "RoleARN": stack.role_arn or None,
        "StackStatusReason": stack.reason or None,
        "RollbackConfiguration": {},
        "DisableRollback": False,
        "NotificationARNs": [],
        "EnableTerminationProtection": False,
        "DriftInformation": {"StackDriftStatus": stack.drift.get("StackDriftStatus", "NOT_CHECKED")},
        "Parameters": shown_parameters(stack.template, stack.wanted.parameters) or None,
        "Outputs": stack.outputs() or None,
        "Capabilities": capability,
        "Tags": [],
    }


def _check_known(asked: dict[str, Any]) -> None:
    """Refuse parameters that are not emulated, so that nobody relies on them."""
    if unknown := sorted(set(asked) - PLAYED):
        raise ValidationError(message=f"the emulated CloudFormation does not know {unknown}")


def _is_true(value: Any) -> bool:
    return str(value).lower() == "true"


def _need_capability(body: str, given: list[str]) -> None:
    """Check that the capability is given: CAPABILITY_NAMED_IAM if an IAM resource has a custom name."""
    if "AWS::IAM::" not in body:
        return
    named = any(
        NAMES_IN_IAM & set(each.get("Properties", {}))
        for each in parsed(body)["Resources"].values()
        if each["Type"].startswith("AWS::IAM::") and each["Type"] != "AWS::IAM::RolePolicy"
    )
    needed = "CAPABILITY_NAMED_IAM" if named else "CAPABILITY_IAM"
    if needed not in given and "CAPABILITY_NAMED_IAM" not in given:
        raise InsufficientCapabilitiesError(f"Requires capabilities : [{needed}]")


def _assumed(role_arn: str, region: str) -> Session:
    """Return a session of the role, whose rights count for every later operation of the stack too.

    CERTAIN: API reference, CreateStack, RoleARN.
    """
    if not principals.trusts(role_arn, AGENT):
        raise ValidationError(message=f"Role {role_arn} is invalid or cannot be assumed")
    return principals.session(role_arn, "AWSCloudFormation", region)


class AccessDeniedError(CloudFormationError):  # type: ignore[misc]  # moto has no types
    code = "AccessDenied"


class InsufficientCapabilitiesError(ValidationError):  # type: ignore[misc]  # moto has no types
    code = "InsufficientCapabilitiesException"

    def __init__(self, message: str) -> None:
        super().__init__(message=message)


@cache
def _models() -> Loader:
    """Return AWS's service models, read once: EC2's alone takes 0.3 s."""
    return Loader(include_default_search_paths=True)


@lru_cache(maxsize=32)
def as_caller(access_key_id: str, token: str | None, region: str, url: str) -> Client:
    """Return a factory of clients that call with this key over HTTP, as CloudFormation does for its caller."""
    made: dict[str, Any] = {}
    session = botocore.session.Session()
    session.register_component("data_loader", _models())
    owner = principals.find(access_key_id)

    def client(service: str) -> Any:
        if service not in made:
            made[service] = session.create_client(
                service,
                region_name=region,
                endpoint_url=url,
                aws_access_key_id=access_key_id,
                aws_secret_access_key=owner.secret if owner else SECRET_ACCESS_KEY,
                aws_session_token=token,
                config=Config(user_agent=AGENT, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
            )
        return made[service]

    return client


def install(stacks: Stacks, url: Callable[[], str], gate: Gate | None) -> None:
    """Install the operations before the first request: moto reads its routing table once."""
    default_user_config["iam"]["load_aws_managed_policies"] = True  # a stack may attach one of AWS's own
    ActingCloudFormation.stacks, ActingCloudFormation.url = stacks, staticmethod(url)
    ActingCloudFormation.gate = gate
    for pattern in moto.cloudformation.urls.url_paths:
        if "cfnresponse" not in pattern:
            moto.cloudformation.urls.url_paths[pattern] = ActingCloudFormation.dispatch

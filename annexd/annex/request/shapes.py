"""AWS's own service model of a request: its members, their types and which are required."""

from functools import cache, lru_cache
from typing import TYPE_CHECKING

from annexd.aws import model_loader

if TYPE_CHECKING:
    from botocore.model import ServiceModel, StructureShape


@lru_cache(maxsize=1)
def _model() -> "ServiceModel":
    """Load botocore's model; the first call takes 0.1 s."""
    from botocore.model import ServiceModel

    return ServiceModel(model_loader().load_service_model("ec2", "service-2"), "ec2")


@cache
def request_shape(operation: str, member: str = "") -> "StructureShape":
    """Return an operation's request, or one of its members, as the installed botocore knows it."""
    from botocore.model import StructureShape

    shape = _model().operation_model(operation).input_shape
    shape = shape.members[member] if member and shape is not None else shape
    assert isinstance(shape, StructureShape)  # noqa: S101  a fact about botocore, for the type checker
    return shape


def config_shape() -> "StructureShape":
    """Return SpotFleetRequestConfigData."""
    return request_shape("RequestSpotFleet", "SpotFleetRequestConfig")


def create_fleet_shape() -> "StructureShape":
    """Return CreateFleetRequest."""
    return request_shape("CreateFleet")


def template_shape() -> "StructureShape":
    """Return RequestLaunchTemplateData."""
    return request_shape("CreateLaunchTemplate", "LaunchTemplateData")

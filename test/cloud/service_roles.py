"""Service-linked roles as in IAM: with AWS's names, and protected from deletion while they are in use."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import moto.iam.urls
from moto.core.responses import ActionResult
from moto.iam.exceptions import NotFoundException
from moto.iam.models import SERVICE_NAME_CONVERSION
from moto.iam.responses import IamResponse

NAMES = {"spot": "EC2Spot", "spotfleet": "EC2SpotFleet", "ec2fleet": "EC2Fleet"}


class ActingIam(IamResponse):  # type: ignore[misc]  # moto has no types
    """moto's IAM with service-linked roles; `in_use`, set by `install`, returns whether fleets have instances."""

    in_use: Callable[[], bool]

    def get_role(self) -> ActionResult:
        """Use AWS's message for a role that does not exist.  CERTAIN: test/cloud/recordings/identities.json."""
        name = self._get_param("RoleName")
        if all(each.name != name for each in self.backend.roles.values()):
            raise NotFoundException(f"The role with name {name} cannot be found.")
        return super().get_role()

    def delete_service_linked_role(self) -> ActionResult:
        name = self._get_param("RoleName")
        path = self.backend.get_role(name).path.strip("/")
        outcome = "FAILED" if type(self).in_use() else "SUCCEEDED"
        if outcome == "SUCCEEDED":
            self.backend.delete_service_linked_role(name)
        return ActionResult({"DeletionTaskId": f"task/{path}/{name}/{outcome}-{uuid.uuid4()}"})

    def get_service_linked_role_deletion_status(self) -> ActionResult:
        task: str = self._get_param("DeletionTaskId")
        return ActionResult({"Status": task.rpartition("/")[2].partition("-")[0]})


def install(in_use: Callable[[], bool]) -> None:
    """Replace moto's routes; call it before the first request, because moto reads its routing table once."""
    SERVICE_NAME_CONVERSION.update(NAMES)
    ActingIam.in_use = staticmethod(in_use)
    paths: dict[str, Any] = moto.iam.urls.url_paths
    for pattern in paths:
        paths[pattern] = ActingIam.dispatch

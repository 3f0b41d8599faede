"""Service-linked roles as IAM has them: by AWS's names, and not to be deleted while somebody uses them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import moto.iam.urls
from moto.core.responses import ActionResult
from moto.iam.exceptions import NotFoundException
from moto.iam.models import SERVICE_NAME_CONVERSION
from moto.iam.responses import IamResponse

NAMES = {"spot": "EC2Spot", "spotfleet": "EC2SpotFleet"}


class ActingIam(IamResponse):  # type: ignore[misc]  # moto has no types
    """`in_use` is put in by `install`: whether instances run that Spot Fleets launched."""

    in_use: Callable[[], bool]

    def get_role(self) -> ActionResult:
        """With AWS's words for a role that there is not.  CERTAIN: test/cloud/recordings/identities.json."""
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
    """Before the first request: moto reads its routing table once."""
    SERVICE_NAME_CONVERSION.update(NAMES)
    ActingIam.in_use = staticmethod(in_use)
    paths: dict[str, Any] = moto.iam.urls.url_paths
    for pattern in paths:
        paths[pattern] = ActingIam.dispatch

"""CreateTags, DeleteTags and DescribeTags of fleets and their instances; all other resources are moto's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError

from test.cloud import views
from test.cloud.ec2_base import Acting
from test.cloud.filters import is_wanted
from test.cloud.fleet_order import api_of
from test.cloud.tags import MAX_RESOURCES, TagLog, check_keys

Change = Callable[[TagLog], Mapping[str, str | None]]


class TagCalls(Acting):
    """A part of ActingEC2."""

    def create_tags(self) -> ActionResult:
        asked = self._parameters()
        tags = asked.get("Tags") or []
        check_keys(tags)
        written = {tag["Key"]: tag.get("Value", "") for tag in tags}
        return self._change("CreateTags", asked, lambda _: written)

    def delete_tags(self) -> ActionResult:
        asked = self._parameters()
        tags = asked.get("Tags") or []
        check_keys(tags)
        return self._change("DeleteTags", asked, lambda log: log.removal_of(tags))

    def _change(self, operation: str, asked: Mapping[str, Any], change: Change) -> Any:
        """Change all resources or none.  CERTAIN: a missing resource fails the call (recorded for instances)."""
        resources: list[str] = asked["Resources"]
        if len(resources) > MAX_RESOURCES:
            raise EC2ClientError("InvalidParameterValue", f"No more than {MAX_RESOURCES} resources in a call.")
        now_s = self._fleets.settle()
        logs = {each: log for each in resources if (log := self._log_of(each, now_s)) is not None}
        if not logs:
            return getattr(super(), {"CreateTags": "create_tags", "DeleteTags": "delete_tags"}[operation])()
        self._refuse_unknown([each for each in resources if each not in logs])
        changes = {each: change(log) for each, log in logs.items()}
        for each, log in logs.items():
            log.check_room(changes[each])
        late_s = self.faults.delay_s(operation, resources) or self.chosen.now.tags_late_s
        for each, log in logs.items():
            log.change(now_s + late_s, changes[each])
        return ActionResult({"Return": True})

    def _log_of(self, resource_id: str, now_s: float) -> TagLog | None:
        instance = self._fleets.instances.get(resource_id)
        if instance is not None and instance.is_visible(now_s):
            return instance.tags
        found = self._fleets.fleets.get(resource_id) or self._fleets.templates.by_id(resource_id)
        return None if found is None else found.tags

    def _refuse_unknown(self, resource_ids: Sequence[str]) -> None:
        if not resource_ids:
            return
        api = api_of(resource_ids[0])
        code = "InvalidInstanceID.NotFound" if api is None else api.not_found
        raise EC2ClientError(code, f"The ID '{resource_ids[0]}' does not exist")

    def describe_tags(self) -> ActionResult:
        """Return the tags of the resources emulated here and of moto's."""
        asked, as_of_s = self._parameters(), self._as_of_s("DescribeTags")
        wanted = asked.get("Filters") or []
        response = [each for each in views.tag_views(self._fleets, as_of_s) if is_wanted(each, wanted)]
        mine = {each["ResourceId"] for each in response}
        of_moto = self.ec2_backend.describe_tags(filters=self._filters_from_querystring())
        response += [view for view in map(views.tag_view_of_moto, of_moto) if view["ResourceId"] not in mine]
        return ActionResult({"Tags": response})

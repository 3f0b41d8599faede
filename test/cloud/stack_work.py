"""The background work on one stack: resource by resource, with a rollback when one fails.

Source (CERTAIN): CloudFormation user guide, "Update behaviors of stack resources", "Understand update stack status
codes" and "DeletionPolicy attribute": a replacement is created first, and the replaced resource is removed only in the
clean-up, after everything else; a resource that the clean-up cannot remove is left and no longer belongs to the stack.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from test.cloud.stack import Denied, Resource, Stack, Wanted
from test.cloud.stack_kinds import HandlerError, Made, handler_code, is_gone
from test.cloud.stack_resources import TYPES
from test.cloud.stack_template import TemplateError, in_order, resolved

FAILURES = (ClientError, BotoCoreError, TemplateError, KeyError, Denied, HandlerError)
KEEPING = ("Retain", "RetainExceptOnCreate")
REPLACING = "Requested update requires the creation of a new physical resource; hence creating one."


class CustomNameError(TemplateError):
    """A resource with a custom name would have to exist twice."""


class Cancelled(Exception):
    """A deletion has replaced this work."""


class Work:
    """The work on a stack.  `pause` is called between two resources; it raises Cancelled once a deletion takes over."""

    def __init__(self, stack: Stack, pause: Callable[[], object]) -> None:
        self._stack, self._pause = stack, pause

    def create(self) -> None:
        try:
            self._build("CREATE")
        except FAILURES as error:
            self._stack.turn("ROLLBACK_IN_PROGRESS", f"The following resource(s) failed to create. {_words(error)}")
            failed = self._remove_all(is_rollback=True)
            self._stack.turn("ROLLBACK_FAILED" if failed else "ROLLBACK_COMPLETE", failed)
            return
        self._stack.turn("CREATE_COMPLETE")

    def update(self, wanted: Wanted) -> None:
        stack = self._stack
        stack.before, stack.resources_before = stack.wanted, dict(stack.resources)
        stack.wanted = wanted
        try:
            self._build("UPDATE")
        except FAILURES as error:
            stack.turn("UPDATE_ROLLBACK_IN_PROGRESS", _words(error))
            self.back_to_the_previous()
            return
        self._set_aside(stack.resources_before, stack.resources, stack.template["Resources"])
        self._clean_up("UPDATE")

    def back_to_the_previous(self) -> None:
        """Roll back: the update's new resources are removed at the end; the replaced ones still exist."""
        stack = self._stack
        assert stack.before is not None  # set by the update that failed
        stack.wanted = stack.before
        self._set_aside(stack.resources, stack.resources_before, stack.template["Resources"])
        for logical_id, old in stack.resources_before.items():
            if logical_id not in stack.resources or stack.resources[logical_id].identity != old.identity:
                stack.resources[logical_id] = old
        try:
            self._build("UPDATE")
        except FAILURES as error:
            stack.turn("UPDATE_ROLLBACK_FAILED", _words(error))
            return
        self._clean_up("UPDATE_ROLLBACK")

    def _set_aside(self, there: dict[str, Resource], kept: dict[str, Resource], named: Mapping[str, Any]) -> None:
        """Mark for removal each of `there` that is not in `kept` under a name of the template; forget other names."""
        stack = self._stack
        keeping = {each.identity for each in kept.values() if each.logical_id in named}
        stack.leftover += [each for each in reversed(list(there.values())) if each.identity not in keeping]
        for logical_id in [each for each in stack.resources if each not in named]:
            del stack.resources[logical_id]

    def _clean_up(self, verb: str) -> None:
        stack = self._stack
        stack.turn(f"{verb}_COMPLETE_CLEANUP_IN_PROGRESS")
        leftover, stack.leftover = stack.leftover, []
        for each in leftover:
            policy = "UpdateReplacePolicy" if each.logical_id in stack.resources else "DeletionPolicy"
            self._remove(each, is_kept=verb == "UPDATE" and each.policies.get(policy) in KEEPING)
        stack.turn(f"{verb}_COMPLETE")

    def delete(self) -> None:
        if self._stack.status != "DELETE_IN_PROGRESS":
            self._stack.turn("DELETE_IN_PROGRESS")  # earlier work ended after the request
        failed = self._remove_all()
        self._stack.turn("DELETE_FAILED" if failed else "DELETE_COMPLETE", failed)

    def _build(self, verb: str) -> None:
        template = self._stack.template
        for logical_id in in_order(template["Resources"]):
            self._pause()
            self._make(verb, logical_id, template["Resources"][logical_id])

    def _make(self, verb: str, logical_id: str, wanted: Mapping[str, Any]) -> None:
        stack, kind = self._stack, wanted["Type"]
        if kind not in TYPES:
            raise TemplateError(f"the emulated CloudFormation does not know {kind}")
        properties = resolved(wanted.get("Properties", {}), stack.lookup)
        policies = {key: wanted[key] for key in ("DeletionPolicy", "UpdateReplacePolicy") if key in wanted}
        known, fresh = stack.resources.get(logical_id), Resource(logical_id, kind, Made(""), properties, policies)
        if known is None:
            self._create(fresh, "CREATE")
        elif known.handler.is_replaced(known.properties, properties):
            self._replace(known, fresh, verb)
        elif known.properties != properties or known.is_unsure:
            self._change(known, fresh)
        else:
            known.policies = policies

    def _create(self, resource: Resource, verb: str, reason: str = "") -> None:
        stack, handler, properties = self._stack, resource.handler, resource.properties
        name = properties.get(handler.NAME) or stack.new_name(resource.logical_id)
        stack.note_of(resource, f"{verb}_IN_PROGRESS", reason)
        with self._reporting(resource, verb):
            for each in ("create", "read"):
                stack.permit_to(resource.kind, each, handler.subject(name, properties))
            resource.made = handler.create(stack.client, name, properties)
            stack.resources[resource.logical_id] = resource  # from here on it belongs to the stack, finished or not
            handler.mark(stack.client, resource.made, stack.tags_of(resource))
            resource.made = handler.finish(stack.client, resource.made, properties)
            resource.as_made = handler.read(stack.client, resource.made.physical_id)

    def _replace(self, known: Resource, fresh: Resource, verb: str) -> None:
        own = known.properties.get(known.handler.NAME)
        if own is not None and own == fresh.properties.get(known.handler.NAME):
            with self._reporting(known, verb):
                raise CustomNameError(
                    "CloudFormation cannot update a stack when a custom-named resource requires "
                    f"replacing. Rename {own} and update the stack again."
                )
        self._create(fresh, verb, REPLACING)

    def _change(self, known: Resource, fresh: Resource) -> None:
        stack, handler = self._stack, known.handler
        stack.note_of(known, "UPDATE_IN_PROGRESS")
        with self._reporting(known, "UPDATE"):
            for each in ("update", "read"):
                stack.permit_to(known.kind, each, known.subject)
            known.is_unsure = True
            fresh.made = handler.update(stack.client, known.made.physical_id, fresh.properties)
            fresh.as_made = handler.read(stack.client, fresh.made.physical_id)
            stack.resources[known.logical_id] = fresh

    @contextmanager
    def _reporting(self, resource: Resource, verb: str) -> Iterator[None]:
        """Run the work, and report its outcome as an event."""
        try:
            yield
        except FAILURES as error:
            self._stack.note_of(resource, f"{verb}_FAILED", _words(error))
            raise
        self._stack.note_of(self._stack.resources[resource.logical_id], f"{verb}_COMPLETE")

    def _remove_all(self, *, is_rollback: bool = False) -> str:
        """Remove all resources, each before those that it needs; return a message about the failures."""
        stack, failed = self._stack, []
        kept = KEEPING[:1] if is_rollback else KEEPING
        order = in_order(stack.template["Resources"])
        for each in stack.leftover + sorted(stack.resources.values(), key=lambda one: -order.index(one.logical_id)):
            if self._remove(each, is_kept=each.policies.get("DeletionPolicy") in kept):
                if stack.resources.get(each.logical_id) is each:
                    del stack.resources[each.logical_id]
            else:
                failed.append(each.logical_id)
        return f"The following resource(s) failed to delete: [{', '.join(failed)}]. " if failed else ""

    def _remove(self, resource: Resource, *, is_kept: bool) -> bool:
        """Remove a resource; return whether it is gone or is to be kept."""
        self._pause()
        stack = self._stack
        if is_kept:
            stack.note_of(resource, "DELETE_SKIPPED")
            return True
        stack.note_of(resource, "DELETE_IN_PROGRESS")
        try:
            stack.permit_to(resource.kind, "delete", resource.subject)
            resource.handler.delete(stack.client, resource.made.physical_id)
        except FAILURES as error:
            if not is_gone(error):
                stack.note_of(resource, "DELETE_FAILED", _words(error))
                return False
        stack.note_of(resource, "DELETE_COMPLETE")
        return True


def _words(error: Exception) -> str:
    """Return an error as CloudFormation reports it."""
    if isinstance(error, TemplateError | KeyError):
        return str(error)
    code = "AccessDenied" if isinstance(error, Denied) else handler_code(error)
    return f'Resource handler returned message: "{error}" (RequestToken: {uuid.uuid4()}, HandlerErrorCode: {code})'

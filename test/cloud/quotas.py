"""Service Quotas that can be set: moto knows those of VPC only."""

from __future__ import annotations

import json
from typing import Any

import moto.servicequotas.urls
from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.responses import ServiceQuotasResponse

from test.cloud.behaviour import Chosen

DEFAULTS = {"L-34B43A08": 256.0, "L-244521F2": 300.0}  # vCPUs of Spot instances; EventBridge rules of a bus
CHANGED: dict[str, float] = {}


class ActingQuotas(ServiceQuotasResponse):  # type: ignore[misc]  # moto has no types
    chosen: Chosen

    def get_service_quota(self) -> str:
        return self._told(CHANGED if self.chosen.now.tells_changed_quotas_only else {**DEFAULTS, **CHANGED})

    def get_aws_default_service_quota(self) -> str:
        return self._told(DEFAULTS)

    def _told(self, quotas: dict[str, float]) -> str:
        asked: dict[str, Any] = json.loads(self.body)
        code = asked["QuotaCode"]
        if code not in quotas:
            raise NoSuchResource
        return json.dumps({"Quota": {"ServiceCode": asked["ServiceCode"], "QuotaCode": code, "Value": quotas[code]}})


def install(chosen: Chosen) -> None:
    """Before the first request: moto reads its routing table once."""
    ActingQuotas.chosen = chosen
    for pattern in moto.servicequotas.urls.url_paths:
        moto.servicequotas.urls.url_paths[pattern] = ActingQuotas.dispatch

"""Service Quotas that can be set: moto knows those of VPC only."""

from __future__ import annotations

import json
from typing import Any

import moto.servicequotas.urls
from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.responses import ServiceQuotasResponse

DEFAULTS = {"L-34B43A08": 256.0, "L-244521F2": 300.0}  # vCPUs of Spot instances; EventBridge rules of a bus
QUOTAS: dict[str, float] = dict(DEFAULTS)


class ActingQuotas(ServiceQuotasResponse):  # type: ignore[misc]  # moto has no types
    def get_service_quota(self) -> str:
        asked: dict[str, Any] = json.loads(self.body)
        code = asked["QuotaCode"]
        if code not in QUOTAS:
            raise NoSuchResource
        return json.dumps({"Quota": {"ServiceCode": asked["ServiceCode"], "QuotaCode": code, "Value": QUOTAS[code]}})


def install() -> None:
    """Before the first request: moto reads its routing table once."""
    for pattern in moto.servicequotas.urls.url_paths:
        moto.servicequotas.urls.url_paths[pattern] = ActingQuotas.dispatch

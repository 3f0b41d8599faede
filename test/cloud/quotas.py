"""Service Quotas that can be set: moto knows those of VPC only."""

from __future__ import annotations

import json
from typing import Any

import moto.servicequotas.urls
from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.responses import ServiceQuotasResponse

DEFAULTS = {"L-34B43A08": 256.0, "L-244521F2": 300.0}  # vCPUs of Spot instances; EventBridge rules of a bus
QUOTAS: dict[str, float] = dict(DEFAULTS)
OF_AWS = {"L-3819A6DF": 0.0, "L-1216C47A": 5.0, "L-DB2E81BA": 0.0}  # AWS's own, which no account needs to have as a row


class ActingQuotas(ServiceQuotasResponse):  # type: ignore[misc]  # moto has no types
    """An account may have no row of a quota.  CERTAIN: API reference, ListServiceQuotas: "For some quotas, only the
    default values are available"."""

    def get_service_quota(self) -> str:
        asked: dict[str, Any] = json.loads(self.body)
        code = asked["QuotaCode"]
        if code not in QUOTAS:
            raise NoSuchResource
        return _told(asked, QUOTAS[code])

    def get_aws_default_service_quota(self) -> str:
        asked: dict[str, Any] = json.loads(self.body)
        if asked["QuotaCode"] not in OF_AWS:
            raise NoSuchResource
        return _told(asked, OF_AWS[asked["QuotaCode"]])


def _told(asked: dict[str, Any], value: float) -> str:
    return json.dumps({"Quota": {"ServiceCode": asked["ServiceCode"], "QuotaCode": asked["QuotaCode"], "Value": value}})


def install() -> None:
    """Before the first request: moto reads its routing table once."""
    for pattern in moto.servicequotas.urls.url_paths:
        moto.servicequotas.urls.url_paths[pattern] = ActingQuotas.dispatch

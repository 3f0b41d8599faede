"""Service Quotas that can be set: moto implements only those of VPC."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import moto.servicequotas.urls
from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.responses import ServiceQuotasResponse

from test.cloud.behaviour import Behaviour, Chosen

DEFAULTS: dict[str, float] = {
    "L-34B43A08": 256.0,
    "L-244521F2": 300.0,
}  # vCPUs of Spot Instances; EventBridge rules of a bus
QUOTAS: dict[str, float] = dict(DEFAULTS)
OF_AWS = {"L-3819A6DF": 0.0, "L-1216C47A": 5.0, "L-DB2E81BA": 0.0}  # AWS's defaults, which an account need not list


class ActingQuotas(ServiceQuotasResponse):  # type: ignore[misc]  # moto has no types
    """moto's Service Quotas with quotas that can be set; `install` sets `chosen`."""

    chosen: ClassVar[Chosen] = Chosen(Behaviour())

    def get_service_quota(self) -> str:
        if self.chosen.now.known_quotas == "all":
            return self._listed(QUOTAS)
        return self._listed({code: value for code, value in QUOTAS.items() if value != DEFAULTS.get(code)})

    def get_aws_default_service_quota(self) -> str:
        return self._listed(OF_AWS | DEFAULTS)

    def _listed(self, known: Mapping[str, float]) -> str:
        asked: dict[str, Any] = json.loads(self.body)
        code = asked["QuotaCode"]
        if code not in known:
            raise NoSuchResource
        return json.dumps({"Quota": {"ServiceCode": asked["ServiceCode"], "QuotaCode": code, "Value": known[code]}})


def install(chosen: Chosen) -> None:
    """Replace moto's routes; call it before the first request, because moto reads its routing table once."""
    ActingQuotas.chosen = chosen
    for pattern in moto.servicequotas.urls.url_paths:
        moto.servicequotas.urls.url_paths[pattern] = ActingQuotas.dispatch

"""annexd warns of the end of the lease function's Python runtime from 180 days before it."""

from datetime import timedelta

from annexd.annex.lease.lambda_runtime import END_OF_SUPPORT, RUNTIME, WARN_DAYS
from annexd.service.runtime_watch import status


def test_the_ad_names_the_runtime_and_its_end_and_warns_only_when_it_is_near() -> None:
    end = END_OF_SUPPORT[RUNTIME]
    early = status(end - timedelta(days=WARN_DAYS + 1))
    assert early == {"AnnexLambdaRuntime": RUNTIME, "AnnexLambdaRuntimeEnd": end.isoformat()}
    for days in (WARN_DAYS, 1, 0, -400):
        warned = status(end - timedelta(days=days))
        assert str(end) in warned["AnnexWarning"]
        assert "deploy the template of a newer annexd" in warned["AnnexWarning"]

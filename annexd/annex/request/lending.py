"""Restrict lent keys to the administrator's endpoints and lease function.

With ANNEX_ALLOW_DEFAULT_CREDENTIALS annexd pays for requests without key files.  If a requester chose one of the
endpoints of such a request, that host would get signatures, and the X-Amz-Security-Token, of the administrator's
account; if a requester chose the lease function, nobody would end the instances.
"""

from typing import Final

from annexd.annex.request.defaults import Defaults
from annexd.aws import Endpoints, region_of_function

URLS: Final = {  # by field of Endpoints: option, attribute, knob
    "ec2_url": ("-service-url", "ServiceURL", "ANNEX_DEFAULT_EC2_URL"),
    "lambda_url": ("-lambda-url", "LambdaURL", "ANNEX_DEFAULT_LAMBDA_URL"),
    "s3_url": ("-s3-url", "S3URL", "ANNEX_DEFAULT_S3_URL"),
    "sts_url": ("-sts-url", "STSURL", "ANNEX_DEFAULT_STS_URL"),
    "logs_url": ("-logs-url", "LogsURL", "ANNEX_DEFAULT_LOGS_URL"),
    "ssm_url": ("-ssm-url", "SSMURL", "ANNEX_DEFAULT_SSM_URL"),
}


def own_endpoints(defaults: Defaults) -> Endpoints:
    """Return the administrator's endpoints, in the region of the configured lease function."""
    region = region_of_function(defaults.lease_function_arn or "") or ""
    return Endpoints(region, *(getattr(defaults, name) for name in URLS))


def faults_of_endpoints(endpoints: Endpoints, defaults: Defaults) -> list[str]:
    """Return why lent keys may not be used there; empty if they may."""
    own = own_endpoints(defaults)
    faults = [
        _fault(option, attribute, getattr(endpoints, name), f"{knob} ({getattr(own, name) or 'AWS'})")
        for name, (option, attribute, knob) in URLS.items()
        if getattr(endpoints, name) != getattr(own, name)
    ]
    if not faults and endpoints.region != own.region:
        faults.append(f"this is for region {endpoints.region}, but the keys that annexd lends are for {own.region}")
    return faults


def faults_of_lent_request(endpoints: Endpoints, arn: str, bucket: str | None, defaults: Defaults) -> list[str]:
    """Return the same for a request with endpoints, a function and a bucket, or None for no bucket."""
    own_arn = defaults.lease_function_arn
    if own_arn is None:
        message = "this annexd has no lease function of its own (ANNEX_DEFAULT_LEASE_FUNCTION_ARN), so it lends no keys"
        return [f"{message}: give yours (-access-key-file, -secret-key-file, or -profile)"]
    faults = faults_of_endpoints(endpoints, defaults)
    if arn != own_arn:
        faults.insert(0, _fault("-lease-function-arn", "LeaseFunctionARN", arn, "ANNEX_DEFAULT_LEASE_FUNCTION_ARN"))
    if bucket not in (None, defaults.s3_bucket):
        faults.append(_fault("-s3-bucket", "S3Bucket", bucket, "ANNEX_DEFAULT_S3_BUCKET"))
    return faults


def _fault(option: str, attribute: str, given: str | None, knob: str) -> str:
    return (
        f"{option} ({attribute}) is {(given or 'AWS')[:200]}, but annexd lends its keys for its own {knob} only: leave "
        "it out, or give your own keys (-access-key-file, -secret-key-file, or -profile)"
    )

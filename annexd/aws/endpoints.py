"""The AWS endpoints, and the one region to which they must all belong."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

# As botocore's partitions.json has them: eu-west-1, us-gov-east-1, cn-north-1, and the European Sovereign Cloud's
# eusc-de-east-1, whose domain is amazonaws.eu.
REGION = r"[a-z]{2,4}(?:-[a-z]+)+-\d+"
DOMAIN = r"amazonaws\.(?:com(?:\.cn)?|eu)"
DUAL_STACK = r"api\.(?:aws|amazonwebservices\.(?:com\.cn|eu))"
FUNCTION_ARN = re.compile(  # arn:aws[-cn|-us-gov...]:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]
    rf"arn:aws[a-z-]*:lambda:(?P<region>{REGION}):(?P<account>\d{{12}}):function:[A-Za-z0-9_-]{{1,64}}"
    r"(:(\$LATEST|[A-Za-z0-9_-]{1,128}))?"
)
AWS_HOST = re.compile(  # ec2.us-east-1.amazonaws.com, us-east-1.ec2.amazonaws.com, lambda.cn-north-1.amazonaws.com.cn
    rf"(?:^|\.)(?P<region>{REGION})\.(?:[a-z0-9-]+\.)*{DOMAIN}$|"
    rf"\.(?P<api_region>{REGION})\.(?:{DUAL_STACK}|{DOMAIN})$"
)
OWN_HOST = re.compile(  # of the services that annexd calls; other hosts below amazonaws.com may be a customer's
    rf"(?:ec2|lambda|logs|s3|ssm|sts)(?:-fips)?(?:\.dualstack)?\.{REGION}\."
    rf"(?:{DOMAIN}|{DUAL_STACK})|(?:ec2|s3|sts)\.amazonaws\.com"
)
# From botocore.utils.is_valid_endpoint_url: botocore creates no client for any other.
HOST = re.compile(r"(?:(?!-)[A-Za-z\d-]{1,63}(?<!-)\.)*(?!-)[A-Za-z\d-]{1,63}(?<!-)\.?|[\da-fA-F:.]+")
LONGEST_HOST = 253
CLASSIC_HOSTS = ("ec2.amazonaws.com",)  # means us-east-1


@dataclass(frozen=True)
class Endpoints:
    """The URLs of the services, and the region for which requests are signed."""

    region: str
    ec2_url: str
    lambda_url: str
    s3_url: str = ""  # AWS's own of the region
    sts_url: str = ""  # AWS's own of the region
    logs_url: str = ""  # the same
    ssm_url: str = ""  # the same for Systems Manager


def region_of_function(arn: str) -> str | None:
    """Return the region in the ARN of a Lambda function; None for any other text."""
    match = FUNCTION_ARN.fullmatch(arn)
    return match["region"] if match else None


def account_of_function(arn: str) -> str | None:
    """Return the account in the ARN of a Lambda function; None for any other text."""
    match = FUNCTION_ARN.fullmatch(arn)
    return match["account"] if match else None


def region_of_url(url: str) -> str | None:
    """Return the region in the host name of one of AWS's own endpoints; None for any other host."""
    host = (urlsplit(url).hostname or "").lower()
    if host in CLASSIC_HOSTS:
        return "us-east-1"
    match = AWS_HOST.search(host)
    return (match["region"] or match["api_region"]) if match else None


def is_aws_host(url: str) -> bool:
    """Return whether this is an endpoint of AWS itself over TLS, whose clock can be trusted."""
    parts = urlsplit(url)
    return parts.scheme == "https" and parts.port in (None, 443) and bool(OWN_HOST.fullmatch(parts.hostname or ""))


def fault_of_url(url: str) -> str | None:
    """Return the fault of an endpoint, as a text that follows its name; None if it has none."""
    try:
        parts = urlsplit(url)
        port_is_usable = parts.port is None or parts.port > 0
    except ValueError as error:
        return f"is not a URL ({error})"
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_usable:
        return "must be a URL like https://ec2.us-east-1.amazonaws.com"
    if "@" in parts.netloc or parts.query or parts.fragment:
        return "must be a plain URL, without user, query or fragment"
    if not url.isascii() or not url.isprintable() or " " in url:
        return "must hold printable ASCII only"
    if len(parts.hostname) > LONGEST_HOST or not HOST.fullmatch(parts.hostname):
        return "must name a host by letters, digits, hyphens and dots"
    return None

"""AWS: clients, endpoints, credentials, and what its errors mean.  Imports nothing else of ours."""

from annexd.aws import answers, errors
from annexd.aws.clients import ClientCache, Clients, model_loader
from annexd.aws.credentials import Credentials, SecretKey
from annexd.aws.endpoints import (
    Endpoints,
    account_of_function,
    fault_of_url,
    is_aws_host,
    region_of_function,
    region_of_url,
)
from annexd.aws.function_code import NoCode, function_files
from annexd.aws.key_files import NotAKey, faults_of, key_in, token_in
from annexd.aws.limiter import Limiter, Limiters, ThrottledLocally
from annexd.aws.remedies import control_policy_in, encoded_in, organization_remedy, remedy_of
from annexd.aws.time_limit import time_limit
from annexd.aws.traffic import ClientHooks

__all__ = [
    "ClientCache",
    "ClientHooks",
    "Clients",
    "Credentials",
    "Endpoints",
    "Limiter",
    "Limiters",
    "NoCode",
    "NotAKey",
    "SecretKey",
    "ThrottledLocally",
    "account_of_function",
    "answers",
    "control_policy_in",
    "encoded_in",
    "errors",
    "fault_of_url",
    "faults_of",
    "function_files",
    "is_aws_host",
    "key_in",
    "model_loader",
    "organization_remedy",
    "region_of_function",
    "region_of_url",
    "remedy_of",
    "time_limit",
    "token_in",
]

"""AWS: clients, endpoints, credentials, and what its errors mean.  Imports nothing else of ours."""

from annexd.aws import errors
from annexd.aws.clients import ClientCache, Clients, model_loader
from annexd.aws.credentials import Credentials, SecretKey
from annexd.aws.endpoints import Endpoints, fault_of_url, region_of_function, region_of_url

__all__ = [
    "ClientCache",
    "Clients",
    "Credentials",
    "Endpoints",
    "SecretKey",
    "errors",
    "fault_of_url",
    "model_loader",
    "region_of_function",
    "region_of_url",
]

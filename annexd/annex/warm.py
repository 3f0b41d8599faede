"""What the first request would otherwise wait for: 0.4 s of reading AWS's service models."""

from dataclasses import replace

from annexd.annex.defaults import Defaults
from annexd.annex.lending import own_endpoints
from annexd.annex.spot_fleet import config_shape
from annexd.aws import ClientCache, Credentials, SecretKey


def warm_up(defaults: Defaults) -> None:
    """Read and keep the models; asks no network.  For a worker thread at the daemon's start."""
    config_shape()
    nobody = Credentials("nobody", SecretKey("nothing"))
    endpoints = own_endpoints(defaults)
    clients = ClientCache().clients(nobody, replace(endpoints, region=endpoints.region or "us-east-1"))
    if defaults.s3_bucket is not None:
        _ = clients.s3

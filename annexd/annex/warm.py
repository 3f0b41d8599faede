"""What the first request would otherwise wait for: 0.4 s of reading AWS's service models."""

from annexd.annex.defaults import Defaults
from annexd.annex.spot_fleet import config_shape
from annexd.aws import ClientCache, Credentials, Endpoints, SecretKey


def warm_up(defaults: Defaults) -> None:
    """Read and keep the models; asks no network.  For a worker thread at the daemon's start."""
    config_shape()
    nobody = Credentials("nobody", SecretKey("nothing"))
    endpoints = Endpoints("us-east-1", defaults.ec2_url, defaults.events_url, defaults.lambda_url, defaults.s3_url)
    clients = ClientCache().clients(nobody, endpoints)
    if defaults.s3_bucket is not None:
        _ = clients.s3

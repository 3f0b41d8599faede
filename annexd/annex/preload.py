"""Load AWS's service models early; otherwise the first request would wait 0.4 s for them."""

import contextlib
from dataclasses import replace

from annexd.annex.request.defaults import Defaults
from annexd.annex.request.lending import own_endpoints
from annexd.annex.request.shapes import config_shape
from annexd.aws import ClientCache, Credentials, SecretKey
from annexd.aws.errors import AWS_ERRORS, SHAPE_ERRORS


def preload(defaults: Defaults) -> None:
    """Read and cache the models without network access, in a worker thread at the daemon's start."""
    config_shape()
    nobody = Credentials("nobody", SecretKey("nothing"))
    endpoints = own_endpoints(defaults)
    with contextlib.suppress(*AWS_ERRORS, *SHAPE_ERRORS, OSError):  # the first call that needs them reports it
        clients = ClientCache().clients(nobody, replace(endpoints, region=endpoints.region or "us-east-1"))
        _ = clients.sts
        if defaults.s3_bucket is not None:
            _ = clients.s3

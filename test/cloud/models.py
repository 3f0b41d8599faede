"""AWS's service models, read once per process for all clients: EC2's alone takes a quarter of a second."""

from functools import cache
from typing import Any


@cache
def models() -> Any:
    """Return botocore's loader, for `register_component("data_loader", ...)` of a session."""
    import botocore.session

    return botocore.session.Session().get_component("data_loader")

"""The boot script as a module; the script is one file without a suffix, for /usr/libexec."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from typing import Any

from test.instance.machine import SCRIPT


def _load() -> Any:
    loader = SourceFileLoader("condor_annex_ec2", str(SCRIPT))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[loader.name] = module  # dataclasses look it up there
    loader.exec_module(module)
    return module


script = _load()

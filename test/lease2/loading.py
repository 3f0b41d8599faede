"""lambda/lease_function.py as a module: `lambda` is no name that an import statement can say."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

TOP = Path(__file__).resolve().parents[2]
CODE = TOP / "lambda" / "lease_function.py"


def load_function(path: Path = CODE) -> ModuleType:
    """A module of its own at each call: time and clients are put into it."""
    spec = importlib.util.spec_from_file_location("lease_function", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["lease_function"] = module  # dataclasses look there for the names in annotations
    spec.loader.exec_module(module)
    return module

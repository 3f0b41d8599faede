"""Load the files of lambda/ as modules: `lambda` is a keyword, so import statements cannot."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

TOP = Path(__file__).resolve().parents[2]
CODE = TOP / "lambda" / "lease.py"


def load_function(path: Path = CODE) -> ModuleType:
    """Load a new module at each call, since tests set its time and clients."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look there for the names in annotations
    spec.loader.exec_module(module)
    return module


def packages_of(path: Path) -> set[str]:
    """Return the top-level packages that a file imports beyond the standard library."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    froms = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    plain = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    return {module.split(".")[0] for module in froms | plain} - set(sys.stdlib_module_names)

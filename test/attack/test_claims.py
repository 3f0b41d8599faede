"""Check that every test named in docs/security.md as evidence exists."""

import re
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
PAGE = (TOP / "docs" / "security.md").read_text()


def test_every_test_named_in_the_threat_model_exists() -> None:
    files = set(re.findall(r"\b([a-z]+/test_\w+)\.py", PAGE)) | {"attack/test_attack"}
    texts = {file: (TOP / "test" / f"{file}.py").read_text() for file in files}
    named = set(re.findall(r"`(?:[a-z]+/test_\w+\.py: )?(test_\w+)(?:\.\.\.)?`", PAGE))
    assert len(named) > 20
    assert not {name for name in named if not any(f"def {name}" in text for text in texts.values())}

"""The expected result of a file, read from its NAME.expected.json and applied to it."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CONFIGS = Path(__file__).parent / "configs"
STEP = re.compile(r"([A-Za-z]+)|\[(\d+|\*)\]")


@dataclass(frozen=True)
class Sent:
    """The request that reaches AWS, as differences from the file."""

    inside: Sequence[str | int] = ()
    without: Sequence[str] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)
    exactly: Mapping[str, Any] | None = None

    def config(self, text: str) -> Any:
        if self.exactly is not None:
            return self.exactly
        config = json.loads(text)
        for member in self.inside:
            config = config[member]
        for path in self.without:
            for holder, name in list(_places(config, path)):
                del holder[name]
        for path, value in self.changes.items():
            for holder, name in _places(config, path):
                holder[name] = value
        return config


@dataclass(frozen=True)
class Case:
    file: str
    name: str
    options: Sequence[str] = ()
    replaced: Mapping[str, str] = field(default_factory=dict)
    by: str = ""
    refused: str = ""
    sent: Sent | None = None
    notes: Sequence[str] = ()

    @property
    def text(self) -> str:
        text = (CONFIGS / self.file).read_text(encoding="utf-8")
        for placeholder, value in self.replaced.items():
            assert placeholder in text, f"{self.file} has no {placeholder}"
            text = text.replace(placeholder, value)
        return text


def cases() -> Iterator[Case]:
    for expected in sorted(CONFIGS.glob("*.expected.json")):
        file = expected.name.replace(".expected", "")
        for name, what in json.loads(expected.read_text(encoding="utf-8")).items():
            sent = what.pop("sent", None)
            options = what.pop("options", "").split()
            refused = "; ".join(what.pop("refused", ()))
            yield Case(file, name, options, refused=refused, sent=None if sent is None else _sent(**sent), **what)


def _sent(
    inside: Sequence[str | int] = (),
    without: Sequence[str] = (),
    exactly: Mapping[str, Any] | None = None,
    **more: Mapping[str, Any],
) -> Sent:
    """Create a Sent; `with`, a keyword in Python, is among `more`."""
    return Sent(inside, without, more.get("with", {}), exactly)


def _places(config: Any, path: str) -> Iterator[tuple[Any, Any]]:
    """Yield each holder and name of a path; LaunchSpecifications[*].UserData means those of all specifications."""
    *steps, last = [int(index) if index.isdigit() else index or name for name, index in STEP.findall(path)]
    holders = [config]
    for step in steps:
        holders = [inner for holder in holders for inner in (holder if step == "*" else [holder[step]])]
    yield from ((holder, last) for holder in holders)

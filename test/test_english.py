"""Texts for people are plain English: no archaic words, docstrings that begin with a verb, tests named by sentences."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from test.texts import TOP

ARCHAIC = re.compile(
    r"\b(amiss|anew|for ever|whoever|mend(s|ed|ing)?|in vain|lest|thereof|whereof|herein|hence|whom|told|tells|"
    r"shall)\b",
    re.IGNORECASE,
)
NOT_A_VERB = re.compile(  # a function's docstring that begins with one of these describes a thing or fronts a clause
    r"(A|All|Also|An|And|Another|Any|As|At|Because|Before|Both|By|Each|Either|Every|For|"
    r"From|How|If|In|Into|It|Its|No|Nobody|None|Nor|Not|Nothing|Of|On|Once|One|Only|Or|"
    r"Our|Same|Several|So|Some|Such|That|The|Then|There|These|This|Those|Through|To|True|"
    r"Two|Under|Until|What|Whatever|When|Where|Whether|Which|While|Who|Whose|Why|With|"
    r"Without|Yes|You)[.,]?"
)
FIRST_WORD = re.compile(r"[A-Z(][a-z()A-Z]*[.,]?")
POOR_NAMES = re.compile(
    r"^test_(what|whatever|where|who|whoever)_"
    r"|_(told|tells|anew|amiss|whoever|in_vain|for_ever|whom|that_there_is_not|that_is_none)(_|$)"
)
PROGRAMS = [
    path for folder in ("bin", "templates", "completion") for path in (TOP / folder).iterdir() if path.is_file()
]
PRODUCT = [*(TOP / "annexd").rglob("*.py"), *(TOP / "lambda").glob("*.py"), TOP / "templates" / "parts.py"]
PRODUCT += [path for path in PROGRAMS if re.match(r"#!.*python", path.read_text(encoding="utf-8"))]
TESTS = [path for path in (TOP / "test").rglob("*.py") if path.name not in ("test_english.py", "stack_work.py")]
OTHER = [  # stack_work.py quotes CloudFormation
    *(TOP / "completion").iterdir(),
    *(TOP / "config.d").iterdir(),
    *(TOP / "docs").rglob("*.md"),
    *(TOP / "docs" / "man").iterdir(),
    *(TOP / name for name in ("README.md", "CHANGELOG.md", "Makefile", "test/cloud/evidence.toml")),
]
Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return str(path.relative_to(TOP))


def functions(path: Path) -> Iterator[Function]:
    """Yield every function and method of a file."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    yield from (node for node in nodes if isinstance(node, Function))


def has_verb(docstring: str) -> bool:
    word = docstring.split()[0]
    return FIRST_WORD.fullmatch(word) is not None and NOT_A_VERB.fullmatch(word) is None


def test_no_text_keeps_the_marks_of_a_merge() -> None:
    marks = re.compile(r"^(<{7}|={7}|>{7})( |$)", re.MULTILINE)
    texts = [path for path in (*PRODUCT, *TESTS, *OTHER) if path.is_file()]
    assert [name_of(path) for path in texts if marks.search(path.read_text(encoding="utf-8"))] == []


def test_a_docstring_of_a_function_begins_with_a_verb() -> None:
    documented = (
        (path, each.name, ast.get_docstring(each))
        for path in (*PRODUCT, *TESTS)
        for each in functions(path)
        if not each.name.startswith("test_")  # its docstring may go on from its name
    )
    faults = [f"{name_of(path)}: {name}: {text}" for path, name, text in documented if text and not has_verb(text)]
    assert faults == []


def test_no_text_has_an_archaic_word() -> None:
    texts = ((path, path.read_text(encoding="utf-8")) for path in {*PRODUCT, *TESTS, *OTHER} if path.is_file())
    assert [f"{name_of(path)}: {word[0]}" for path, text in texts for word in ARCHAIC.finditer(text)] == []


def test_no_name_of_a_test_has_an_archaic_word() -> None:
    names = ((path, each.name) for path in TESTS for each in functions(path) if each.name.startswith("test_"))
    assert [f"{name_of(path)}: {name}" for path, name in names if POOR_NAMES.search(name)] == []

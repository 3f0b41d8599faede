"""README and the pages of docs, with the blocks that readers paste."""

import re
import shlex
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
README = TOP / "README.md"
PAGES = [README, *sorted((TOP / "docs").glob("*.md"))]
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"(?:^(?:    .*)?\n)+", re.MULTILINE)
EDGE = re.compile(r"^ *(\w+)\S*.*?--+> *(\w+)", re.MULTILINE)  # of a mermaid diagram


def blocks(page: Path) -> list[str]:
    """Return the indented blocks of a page in order, without their indentation."""
    found = BLOCK.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
    return ["\n".join(line[4:] for line in block.strip("\n").splitlines()) for block in found if block.strip()]


def block(page: Path, beginning: str) -> str:
    """Return the one block that starts with `beginning`, as a reader pastes it."""
    [found] = [each for each in blocks(page) if each.startswith(beginning)]
    return found


def fenced(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """Return the words of every line in a block, and of every inline code span that is a whole command."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    prose = " ".join(line for line in text.splitlines() if not line.startswith("    "))
    lines = [line for each in blocks(page) for line in each.replace("\\\n", " ").splitlines()]
    lines += [code for code in re.findall(r"`([^`]+)`", prose) if re.match(r"(condor_\w+|make) \S", code)]
    return [words for words in map(words_of, lines) if words]


def words_of(line: str) -> list[str]:
    """Return the words of a command without `sudo` and comments; empty for a line that cannot be parsed."""
    try:
        words = shlex.split(line.removeprefix("$ ").strip(), comments=True)
    except ValueError:  # not a command: it has an unbalanced quote
        return []
    return words[1:] if words[:1] == ["sudo"] else words

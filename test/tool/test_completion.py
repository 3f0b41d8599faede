"""Test shell completion: the files are those of completion/generate, and bash completes with them."""

import importlib.machinery
import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from test.tool.completion import FOLDER


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("generate", str(FOLDER / "generate"))
    spec = importlib.util.spec_from_loader("generate", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def completed(environment: dict[str, str], *words: str) -> list[str]:
    """Return bash's completions of the last word."""
    typed = " ".join(f"'{word}'" for word in ("condor_annex", *words))
    script = (
        f"source '{FOLDER}/condor_annex.bash'; COMP_WORDS=({typed}); COMP_CWORD={len(words)}; "
        "_condor_annex; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env=environment,
        cwd=Path(environment["HOME"]) / "work",
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_the_files_are_what_the_options_are(generator: ModuleType) -> None:
    assert (FOLDER / "condor_annex.bash").read_text() == generator.bash()
    assert (FOLDER / "_condor_annex").read_text() == generator.zsh()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["-lease-d"], ["-lease-duration"]),
        (["--lease-d"], ["-lease-duration"]),
        (["-ch"], ["-check-setup"]),
        ([""], ["config.json"]),
        (["-access-key-file", "c"], ["config.json"]),
        (["-lease-duration", ""], []),
        (["-profile", ""], ["default", "lab"]),
        (["-name", ""], ["annexd@vm.example.org"]),
        (["-cancel", "p"], ["physics"]),
        (["-status", ""], ["annex-1", "physics"]),
        (["-extend", "2h", "a"], ["annex-1"]),
        (["-resize", "5", "a"], ["annex-1"]),
    ],
)
def test_bash_offers_what_fits(tools: dict[str, str], words: list[str], offered: list[str]) -> None:
    assert completed(tools, *words) == offered

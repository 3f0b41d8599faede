"""Run one target under atheris, with libFuzzer's arguments; called by `make fuzz`."""

import sys

import atheris

with atheris.instrument_imports(include=["annexd", "json"]):
    from test.fuzz.targets import TARGETS

if __name__ == "__main__":
    again = f"{sys.executable} -m test.fuzz.engine {sys.argv[1]}"  # libFuzzer runs this in a shell when it merges
    atheris.Setup([again, *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()

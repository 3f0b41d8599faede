"""One target under atheris; the arguments are libFuzzer's.  `make fuzz` calls it."""

import sys

import atheris

with atheris.instrument_imports(include=["annexd", "json"]):
    from test.fuzz.targets import TARGETS

if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()

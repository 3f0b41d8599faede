"""Record HTCondor's verdicts: python -m test.authorization.vectors.record [SEED]

Builds ipverify.cpp with the libcondor_utils of the installed bindings (requires g++), queries it for random
configurations and peers, and writes verdicts.json.  NO_DNS derives host names from addresses, so no resolver matters.
Netgroups are left out, since annexd differs there.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from annexd.authorization import FAMILY
from annexd.cedar.levels import Level

HERE = Path(__file__).parent
CONFIGURATIONS = 300
VERDICTS_PER_CONFIGURATION = 10
CONFIG = "NO_DNS = true\nDEFAULT_DOMAIN_NAME = site\nNETWORK_INTERFACE = 127.0.0.1\nLOCAL_DIR = /tmp\n"
NUMBERS = {  # condor_perms.h
    Level.ALLOW: 0,
    Level.READ: 1,
    Level.WRITE: 2,
    Level.NEGOTIATOR: 3,
    Level.ADMINISTRATOR: 4,
    Level.CONFIG: 5,
    Level.DAEMON: 6,
    Level.CLIENT: 9,
    Level.ADVERTISE_STARTD: 10,
    Level.ADVERTISE_SCHEDD: 11,
    Level.ADVERTISE_MASTER: 12,
}

USERS = [
    "bob@site",
    "eve@site",
    "condor@site",
    "condor_pool@site",
    "CONDOR@SITE",
    "root@other",
    "unauthenticated@unmapped",
    "condor@family",
    "bob",
    "*",
]
ADDRESSES = ["10.1.2.3", "10.1.9.9", "192.168.0.5", "127.0.0.1", "2001:db8::7", "::ffff:10.1.2.3"]
ENTRIES = [
    "*",
    "*/*",
    "*/*/*",
    "bob@site",
    "BOB@site",
    "*@site",
    "condor@*",
    "condor_pool@site",
    "condor@site",
    "root@other/*",
    "*@unmapped",
    "10.1.*",
    "10.1.2.3",
    "10.1.2",
    "10",
    ".",
    "10.1.0.0/16",
    "10.1.0.0/255.255.0.0",
    "10.1.2.3/",
    "10.1.2.3/33",
    "10.1.2.3/255.0.255.0",
    "*/10.0.0.0/8",
    "*/10.1.2.3/33",
    "bob@site/10.1.2.*",
    "bob@site/10.1.0.0/16",
    "eve@site/10.0.0.0/255.0.0.0",
    "bob/10.1.2.3",
    "2001:db8::/32",
    "2001:db8:*",
    "[2001:db8::7]",
    "*/2001:db8::7",
    "bob@site/",
    "/10.1.2.3",
    "a/b/c",
    "10.1.2.3:9618",
    "<10.1.2.3:9618>",
    "10-1-2-3.site",
    "*.site",
    "10-1-*",
    "bob@site/10-1-2-3.site",
    "*/192-168-0-5.site",
    "bob@*/*.site",
    "node_1",
    "*/{:local_ips:}",
    "{:LOCAL_IPS:}",
]
KNOBS = [
    f"{kind}_{level}{subsystem}"
    for kind in ("ALLOW", "DENY")
    for level in (*Level, "DEFAULT")
    for subsystem in ("", "_ANNEXD", "_SCHEDD")
]


def random_configuration(chance: random.Random) -> dict[str, str]:
    config = {"ALLOW_CLIENT": "*"}  # the only list that HTCondor sets by default
    for knob in chance.sample(KNOBS, chance.randint(0, 9)):
        separator = chance.choice([", ", " ", ",", " , "])
        config[knob] = separator.join(chance.choices(ENTRIES, k=chance.choice([1, 1, 1, 2, 3])))
    if chance.random() < 0.3:
        config["LEGACY_ALLOW_SEMANTICS"] = chance.choice(["true", "false", "TRUE", "1", "0"])
    if chance.random() < 0.3:
        config["USE_POOL_USERNAME_EQUIVALENT"] = chance.choice(["true", "false"])
    return config


class HTCondor:
    """HTCondor's IpVerify in its own process."""

    def __init__(self, program: Path, directory: Path) -> None:
        config = directory / "condor_config"
        config.write_text(CONFIG)
        environment = {
            **os.environ,
            "CONDOR_CONFIG": str(config),
            "CONDOR_IDS": f"{os.getuid()}.{os.getgid()}",
        }
        self._process = subprocess.Popen(
            [program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def send(self, *fields: str) -> None:
        assert self._process.stdin
        print(*fields, sep="\t", file=self._process.stdin, flush=True)

    def query(self, *fields: str) -> str:
        self.send(*fields)
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def configure(self, old: dict[str, str], new: dict[str, str], *, holes: bool) -> None:
        for knob in old:
            self.send("set", knob, "")
        for knob, value in new.items():
            self.send("set", knob, value)
        self.send("restart")
        for level in FAMILY.levels if holes else ():
            self.send("hole", str(NUMBERS[level]), FAMILY.user)

    def stop(self) -> None:
        self._process.communicate()


def build(directory: Path) -> Path:
    libraries = Path(str(metadata.distribution("htcondor").locate_file("htcondor.libs")))
    [library] = libraries.glob("libcondor_utils*.so")
    program = directory / "ipverify"
    link = [f"-Wl,-rpath,{libraries}", "-Wl,--unresolved-symbols=ignore-in-shared-libs"]
    command = ["g++", "-std=c++20", str(HERE / "ipverify.cpp"), str(library), *link, "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def cases(condor: HTCondor, chance: random.Random) -> Iterator[dict[str, object]]:
    old: dict[str, str] = {}
    for _ in range(CONFIGURATIONS):
        config, holes = random_configuration(chance), chance.random() < 0.3
        condor.configure(old, config, holes=holes)
        old = config
        verdicts = []
        for _ in range(VERDICTS_PER_CONFIGURATION):
            level, address, user = chance.choice(list(Level)), chance.choice(ADDRESSES), chance.choice(USERS)
            granted = condor.query("verify", str(NUMBERS[level]), address, user) == "1"
            verdicts.append([level, address, user, granted])
        yield {"config": config, "holes": holes, "verdicts": verdicts}


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    with tempfile.TemporaryDirectory() as name:
        condor = HTCondor(build(Path(name)), Path(name))
        recorded = list(cases(condor, random.Random(seed)))  # noqa: S311
        condor.stop()
    lines = ",\n".join(json.dumps(case) for case in recorded)
    version = metadata.version("htcondor")
    (HERE / "verdicts.json").write_text(f'{{"htcondor": "{version}", "seed": {seed}, "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()

"""The address under which the pool reaches a daemon: a Sinful string, and the files that carry one.

Session caches compare addresses as text, so the same daemon always spells its own in the same way.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from annexd.daemoncore.atomic_file import replace_file

SINFUL = re.compile(r"<(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s<>?:\[\]]+):(?P<port>\d{1,5})(?:\?(?P<params>[^\s<>]*))?>")

PRIVATE_ADDRESS = "PrivAddr"
ESCAPED = re.compile(r"[^A-Za-z0-9#+\-.:\[\]_]")


@dataclass(frozen=True)
class Sinful:
    """`<host:port?key=value&key>`; parameters keep their order and are kept as they were written."""

    host: str
    port: int
    parameters: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Sinful":
        """Raises ValueError."""
        match = SINFUL.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"not an address: {text[:200]!r}")
        parameters = match["params"] or ""
        return cls(match["host"].strip("[]"), int(match["port"]), tuple(filter(None, parameters.split("&"))))

    @classmethod
    def own_port(cls, names: Sequence[tuple[str, int]], alias: str) -> "Sinful":
        """A daemon on TCP ports of its own, (ip, port) each.  SSL clients check the certificate against `alias`."""
        dashed = [(f"[{ip.replace(':', '-')}]" if ":" in ip else ip, port) for ip, port in names]
        addresses = "+".join(f"{ip}-{port}" for ip, port in dashed)
        return cls(*names[0], (f"addrs={addresses}", f"alias={alias}", "noUDP"))

    def parameter(self, key: str) -> str | None:
        """The value of `key=value`; None where there is none."""
        return next((value for name, _, value in (p.partition("=") for p in self.parameters) if name == key), None)

    def behind_shared_port(self, shared_port_id: str) -> "Sinful":
        """condor_shared_port's address, with our name at its door; also at the one that a private network uses
        (SharedPortEndpoint::InitRemoteAddress).
        """
        named = self._named(shared_port_id)
        kept = tuple(p for p in named.parameters if p.partition("=")[0] not in ("sock", "noUDP"))
        return Sinful(self.host, self.port, (*kept, "noUDP", f"sock={shared_port_id}"))

    def _named(self, shared_port_id: str) -> "Sinful":
        """Raises ValueError when the private address is none."""
        kept = [p for p in self.parameters if p.partition("=")[0] != "sock"]
        for position, parameter in enumerate(kept):
            key, _, value = parameter.partition("=")
            if key == PRIVATE_ADDRESS:
                private = Sinful.parse(unquote(value))._named(shared_port_id)
                kept[position] = f"{key}={_escaped(str(private))}"
        return Sinful(self.host, self.port, (*kept, f"sock={shared_port_id}"))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        query = "?" + "&".join(self.parameters) if self.parameters else ""
        return f"<{host}:{self.port}{query}>"


def _escaped(text: str) -> str:
    """As a parameter's value (urlEncode of condor_sinful.cpp)."""
    return ESCAPED.sub(lambda match: f"%{ord(match[0]):02x}", text)


def read_shared_port_address(ad_file: Path) -> Sinful:
    """MyAddress of condor_shared_port's ad file.  Raises OSError (not there yet) or ValueError."""
    for line in ad_file.read_text(errors="replace").splitlines():
        name, _, value = line.partition("=")
        if name.strip().lower() == "myaddress":
            return Sinful.parse(value.strip().strip('"'))
    raise ValueError(f"{ad_file} holds no MyAddress")


def write_address_file(path: Path, address: Sinful, version: str, platform: str) -> None:
    """<SUBSYSTEM>_ADDRESS_FILE, by which tools of this host find the daemon.  Raises OSError."""
    replace_file(path, f"{address}\n{version}\n{platform}\n")


def remove_address_file(path: Path, address: Sinful) -> None:
    """Take the file away unless another daemon has written its own meanwhile."""
    try:
        if path.read_text().splitlines()[:1] == [str(address)]:
            path.unlink()
    except OSError:
        return

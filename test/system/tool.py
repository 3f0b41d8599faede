"""The real condor_annex in a process of its own, as a user of a site runs it."""

import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from test.pool import Pool
from test.system.site import REQUEST, Site

Done = subprocess.CompletedProcess[str]
CONDOR_ANNEX = str(Path(sysconfig.get_path("scripts"), "condor_annex"))


def condor_annex(site: Site, *arguments: str, **more: Any) -> Done:
    return site.pool.run(sys.executable, "-m", "annexd.tool.main", *arguments, **more)


def key_options(site: Site) -> tuple[str, ...]:
    return "-access", site.public_key_file, "-secret", site.secret_key_file


def order_an_hour(site: Site, *options: str, **more: Any) -> Done:
    """Order an annex for one hour with the installed condor_annex."""
    return site.pool.run(CONDOR_ANNEX, "-lease-duration", "1h", *key_options(site), *options, str(REQUEST), **more)


def as_user(site: Site, user: str) -> dict[str, str]:
    """Return the environment of a client with this user's token and no other credentials."""
    folder = site.pool.directory / f"tokens-{user}"
    if not folder.exists():
        folder.mkdir(mode=0o700)
        (folder / "token").touch(mode=0o600)
        (folder / "token").write_text(site.pool.token(f"{user}@annexd.test"))
    return {"_CONDOR_SEC_TOKEN_DIRECTORY": str(folder), "_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS": "IDTOKENS"}


def reconfigure(pool: Pool, settings: str) -> None:
    """Append settings to the configuration; return when annexd and the schedd have read them."""
    logs = {"ANNEXD": "Reconfigured", "SCHEDD": "Re-reading config files"}
    before = {daemon: pool.log(daemon).count(word) for daemon, word in logs.items()}
    pool.configure(settings)
    pool.wait_for(
        lambda: all(pool.log(daemon).count(word) > before[daemon] for daemon, word in logs.items()),
        f"both daemons to be reconfigured; annexd's log ends:\n{pool.log('ANNEXD')[-2000:]}",
    )

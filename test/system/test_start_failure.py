"""If annexd fails to start under condor_master before its log is open, the cause is still in that log."""

import sys

from test.pool import ANNEXD_CONFIG, Pool

DAEMONS = ("MASTER", "COLLECTOR", "SHARED_PORT", "SCHEDD")
FOUND_S = 60.0


def starting(pool: Pool, program: str, *config: str) -> None:
    """Have condor_master start annexd by a wrapper that runs this Python program first."""
    wrapper = pool.directory / "condor_annexd"
    wrapper.write_text(f"#!{sys.executable}\n{program}\nfrom annexd.service.main import main\nsys.exit(main())\n")
    wrapper.chmod(0o755)
    pool.configure("\n".join((ANNEXD_CONFIG, f"ANNEXD = {wrapper}", "DAEMON_LIST = $(DAEMON_LIST)", *config)))


def test_a_missing_package_is_named_in_its_log() -> None:
    with Pool(daemons=DAEMONS) as pool:
        starting(pool, "import sys; sys.modules['cryptography'] = None")
        pool.wait_for(lambda: "cannot start" in pool.log("ANNEXD"), "the cause in AnnexdLog", FOUND_S)
        [line, *_] = pool.log("ANNEXD").splitlines()
        assert "ERROR: condor_annexd cannot start: a Python package is missing, or does not fit:" in line
        assert "cryptography" in line
        pool.wait_for(lambda: "exited with status 1" in pool.log("MASTER"), "the status in MasterLog", FOUND_S)


def test_invalid_inheritance_from_another_program_is_named_in_its_log() -> None:
    with Pool(daemons=DAEMONS) as pool:
        starting(pool, "import os, sys; os.environ['CONDOR_INHERIT'] = 'nonsense'")
        pool.wait_for(lambda: "cannot start" in pool.log("ANNEXD"), "the cause in AnnexdLog", FOUND_S)
        assert "CONDOR_INHERIT is malformed: 'nonsense'" in pool.log("ANNEXD").splitlines()[0]

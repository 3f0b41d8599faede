"""A real HTCondor to test with: `with Pool() as pool: pool.tool("condor_status", "-any")`."""

from test.pool.htcondor import HTCondor, NoHTCondorError, find
from test.pool.pool import ANNEXD_CONFIG, DOMAIN, Pool, PoolError, free_port

__all__ = ["ANNEXD_CONFIG", "DOMAIN", "HTCondor", "NoHTCondorError", "Pool", "PoolError", "find", "free_port"]

"""An emulated AWS that acts: fleets launch, functions run, rules fire, and a meter counts what outlives a lease.

Nothing here has run on AWS itself; test/cloud/evidence.toml lists the sources of each behaviour.
"""

from test.cloud.boot import Boot
from test.cloud.cloud import Cloud, CloudError

__all__ = ["Boot", "Cloud", "CloudError"]

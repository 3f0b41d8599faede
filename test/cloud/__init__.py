"""An emulated AWS that acts: fleets launch, functions run, rules fire, and a meter counts what outlives a
lease.

Nothing here ran on AWS itself; each behaviour is from AWS's documentation or botocore's service model.
"""

from test.cloud.boot import Boot
from test.cloud.cloud import Cloud, CloudError

__all__ = ["Boot", "Cloud", "CloudError"]

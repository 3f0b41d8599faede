"""Whether tests have the time for the whole form of what they show: `make whole` has, `make test` has not."""

import os
from typing import Final

IS_WHOLE: Final = "ANNEXD_WHOLE" in os.environ

"""The mark of tests that `make whole` runs in full and `make test` in a short form.

Only `make whole` runs a test or a parameter with the mark WHOLE.
"""

import os
from typing import Final

import pytest

IS_WHOLE: Final = "ANNEXD_WHOLE" in os.environ
WHOLE: Final = pytest.mark.whole

"""What `make whole` shows in full and `make test` in a short form.

A test or a parameter with the mark WHOLE is played by `make whole` alone.
"""

import os
from typing import Final

import pytest

IS_WHOLE: Final = "ANNEXD_WHOLE" in os.environ
WHOLE: Final = pytest.mark.whole

"""Recognise placeholders left in a request: `<ACCOUNT>`, `{{ image }}`, `${Role}`, `IMAGE_PLACEHOLDER`, `XXXX`.

AWS would take many of them for names, and report only later that the resources do not exist.
"""

import re
from typing import Final

PLACEHOLDER: Final = re.compile(r"<[^<>]*>|\{\{.*?\}\}|\$\{[^{}]*\}|PLACEHOLDER|X{4,}")
LONGEST_NAME: Final = 2048  # AWS's longest names are ARNs; the expression would take hours for a text of megabytes
PUT_YOUR_OWN: Final = "that is a placeholder: replace it with your own value"


def is_placeholder(text: str) -> bool:
    return PLACEHOLDER.search(text[:LONGEST_NAME]) is not None

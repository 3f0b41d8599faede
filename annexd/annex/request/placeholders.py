"""Recognise placeholders left in a request: `<ACCOUNT>`, `{{ image }}`, `${Role}`, `IMAGE_PLACEHOLDER`, `XXXX`.

AWS would take many of them for names, and say only later that there is no such thing.
"""

import re
from typing import Final

PLACEHOLDER: Final = re.compile(r"<[^<>]*>|\{\{.*?\}\}|\$\{[^{}]*\}|PLACEHOLDER|X{4,}")
LONGEST_NAME: Final = 2048  # of what AWS names, an ARN; a text of megabytes would keep the expression busy for hours
PUT_YOUR_OWN: Final = "that is a placeholder: replace it with your own value"


def is_placeholder(text: str) -> bool:
    return PLACEHOLDER.search(text[:LONGEST_NAME]) is not None

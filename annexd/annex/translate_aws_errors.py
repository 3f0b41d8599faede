"""From AWS's errors, and from answers that are none of AWS's, to the engine's two words: Retry and Refused."""

from collections.abc import Iterator
from contextlib import contextmanager

from annexd.aws import errors
from annexd.aws.errors import AWS_ERRORS
from annexd.workflow import Refused, Retry


@contextmanager
def translate_aws_errors(operation: str) -> Iterator[None]:
    """Make whatever AWS, or the way to it, raises inside a Retry or a Refused.

    Also what the reading of an answer raises: then nobody knows what was done, and it is asked again.
    """
    try:
        yield
    except AWS_ERRORS as error:
        words = errors.describe(error, operation)
        untouched = errors.had_no_effect(error)
        if errors.is_transient(error):
            raise Retry(words, untouched=untouched) from error
        raise Refused(words, untouched=untouched) from error
    except Exception as error:
        if errors.is_shape_error(error):
            raise Retry(errors.describe_shape(error, operation)) from error
        raise

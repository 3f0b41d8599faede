"""Translate AWS's errors, and responses of an unknown shape, into the engine's Retry and Refused."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from annexd.aws import errors
from annexd.aws.errors import AWS_ERRORS
from annexd.aws.not_yet import not_yet
from annexd.workflow import Refused, Retry, Wait


@contextmanager
def translate_aws_errors(operation: str, **names: object) -> Iterator[None]:
    """Translate every error of AWS or of the network inside the block into Retry or Refused.

    This includes errors while a response is read: then the effect is unknown, and the call is repeated.  `names` are
    those in braces in annexd.aws.not_yet.TABLE: they name the resources that AWS does not know yet.
    """
    try:
        yield
    except AWS_ERRORS as error:
        message = errors.describe(error, operation)
        untouched = errors.had_no_effect(error)
        if errors.is_transient(error):
            raise Retry(message, untouched=untouched) from error
        if (wait := _wait_of(error, names)) is not None:
            raise Retry(message, untouched=untouched, wait=wait) from error
        raise Refused(message, untouched=untouched) from error
    except Exception as error:
        if errors.is_shape_error(error):
            raise Retry(errors.describe_shape(error, operation)) from error
        raise


def _wait_of(error: Exception, names: Mapping[str, object]) -> Wait | None:
    found = not_yet(error)
    return None if found is None else Wait(found.what.format(**names), found.wait_s, found.next_step)

"""The lease function's runtime has an end of support, which is reported in time."""

from datetime import timedelta

from annexd.annex.lease.lambda_runtime import END_OF_SUPPORT, RUNTIME, WARN_DAYS, days_left, warning

END = END_OF_SUPPORT[RUNTIME]


def test_the_end_of_support_is_reported_half_a_year_before() -> None:
    assert warning(END - timedelta(days=WARN_DAYS + 1)) is None
    assert f"ends on {END}, in {WARN_DAYS} days" in str(warning(END - timedelta(days=WARN_DAYS)))
    assert "deploy the template of a newer annexd" in str(warning(END))


def test_after_the_end_it_says_so() -> None:
    assert f"ended on {END}" in str(warning(END + timedelta(days=1)))
    assert days_left(END + timedelta(days=1)) == -1


def test_an_unknown_runtime_causes_no_warning() -> None:
    assert days_left(END, "python9.9") is None
    assert warning(END, "python9.9") is None

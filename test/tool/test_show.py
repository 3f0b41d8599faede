"""The words of annexd as its user reads them."""

from annexd.tool.show import in_options


def test_an_attribute_is_told_as_its_option() -> None:
    assert in_options("ServiceURL is wrong; S3Bucket is missing") == "-service-url is wrong; -s3-bucket is missing"


def test_an_attribute_that_stands_behind_its_option_stays() -> None:
    words = "-service-url (ServiceURL) is https://x, and the keys that annexd lends serve its own only"
    assert in_options(words) == words

"""Regions are read from what AWS names with them, and from nothing else."""

import pytest

from annexd.aws import fault_of_url, region_of_function, region_of_url

ARNS = [
    ("arn:aws:lambda:us-east-1:123456789012:function:lease", "us-east-1"),
    ("arn:aws:lambda:us-east-1:123456789012:function:HTCondor-Lease_1:7", "us-east-1"),
    ("arn:aws:lambda:eu-west-3:123456789012:function:lease:$LATEST", "eu-west-3"),
    ("arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:lease", "us-gov-west-1"),
    ("arn:aws-cn:lambda:cn-north-1:123456789012:function:lease", "cn-north-1"),
    ("arn:aws:lambda:us-east-1:123456789012:layer:lease", None),
    ("arn:aws:lambda:us-east-1:1234:function:lease", None),
    ("arn:aws:lambda:us-east-1:123456789012:function:lease:a:b", None),
    ("arn:aws:lambda:us-east-1:123456789012:function:lease\n", None),
    ("lease", None),
    ("", None),
]
URLS = [
    ("https://ec2.us-east-1.amazonaws.com", "us-east-1"),
    ("https://events.eu-central-1.amazonaws.com/", "eu-central-1"),
    ("https://lambda-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
    ("https://ec2.cn-north-1.amazonaws.com.cn", "cn-north-1"),
    ("https://ec2.eu-west-1.api.aws", "eu-west-1"),
    ("https://vpce-1234-abcd.lambda.us-west-2.vpce.amazonaws.com", "us-west-2"),
    ("https://ec2.amazonaws.com", "us-east-1"),
    ("http://127.0.0.1:4000", None),
    ("https://ec2.us-east-1.amazonaws.com.evil.example", None),
    ("https://us-east-1.example.org", None),
]


@pytest.mark.parametrize(("arn", "region"), ARNS)
def test_the_region_of_a_lease_function_is_in_its_arn(arn: str, region: str | None) -> None:
    assert region_of_function(arn) == region


@pytest.mark.parametrize(("url", "region"), URLS)
def test_the_region_of_an_endpoint_is_in_its_host_name_if_it_is_amazons(url: str, region: str | None) -> None:
    assert region_of_url(url) == region


@pytest.mark.parametrize("url", [url for url, _ in URLS])
def test_a_plain_url_has_no_fault(url: str) -> None:
    assert fault_of_url(url) is None


@pytest.mark.parametrize("url", [
    "ec2.us-east-1.amazonaws.com", "ftp://host", "https://", "https://user:secret@host", "https://host/?x=1",
    "https://host#there", "https://host:99999", "https://host:0", "https://[::1", "https://ho st", "https://h\nost", "",
])
def test_what_is_no_plain_url_has_a_fault(url: str) -> None:
    assert fault_of_url(url)

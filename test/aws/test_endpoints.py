"""Regions are read from ARNs and host names of AWS, and from nothing else."""

import pytest

from annexd.aws import fault_of_url, region_of_function, region_of_url
from annexd.aws.endpoints import is_aws_host

ARNS = [
    ("arn:aws:lambda:us-east-1:123456789012:function:lease", "us-east-1"),
    ("arn:aws:lambda:us-east-1:123456789012:function:HTCondor-Lease_1:7", "us-east-1"),
    ("arn:aws:lambda:eu-west-3:123456789012:function:lease:$LATEST", "eu-west-3"),
    ("arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:lease", "us-gov-west-1"),
    ("arn:aws-cn:lambda:cn-north-1:123456789012:function:lease", "cn-north-1"),
    ("arn:aws-eusc:lambda:eusc-de-east-1:123456789012:function:lease", "eusc-de-east-1"),
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
    ("https://ec2.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
    ("https://ec2.eusc-de-east-1.api.amazonwebservices.eu", "eusc-de-east-1"),
    ("https://ec2.cn-north-1.api.amazonwebservices.com.cn", "cn-north-1"),
    ("https://ec2.eusc-de-east-1.evilamazonaws.eu", None),
    ("https://vpce-1234-abcd.lambda.us-west-2.vpce.amazonaws.com", "us-west-2"),
    ("https://ec2.amazonaws.com", "us-east-1"),
    ("http://127.0.0.1:4000", None),
    ("https://ec2.us-east-1.amazonaws.com.evil.example", None),
    ("https://us-east-1.example.org", None),
    ("https://ec2.us-east-1.evilamazonaws.com", None),
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


@pytest.mark.parametrize(
    "url",
    [
        "ec2.us-east-1.amazonaws.com",
        "ftp://host",
        "https://",
        "https://user:secret@host",
        "https://host/?x=1",
        "https://host#there",
        "https://host:99999",
        "https://host:0",
        "https://[::1",
        "https://ho st",
        "https://h\nost",
        "",
        "https://under_score.example.org",
        "http://-x.example.org",
        "http://x..example.org",
        f"http://{'a' * 64}.org",
        f"http://{'a.' * 130}org",
        "http://h%41st",
    ],
)
def test_an_endpoint_must_be_a_plain_url(url: str) -> None:
    assert fault_of_url(url)


@pytest.mark.parametrize(
    ("url", "is_own"),
    [
        ("https://ec2.us-east-1.amazonaws.com", True),
        ("https://sts.cn-north-1.amazonaws.com.cn", True),
        ("https://sts.eusc-de-east-1.amazonaws.eu", True),
        ("https://sts.eusc-de-east-1.amazonaws.eu.example.org", False),
        ("https://logs.eu-west-1.api.aws:443/", True),
        ("https://s3.dualstack.eu-west-1.amazonaws.com", True),
        ("https://lambda-fips.us-gov-west-1.amazonaws.com", True),
        ("http://ec2.us-east-1.amazonaws.com", False),
        ("https://ec2.us-east-1.amazonaws.com:8443", False),
        ("https://abc.execute-api.us-east-1.amazonaws.com", False),
        ("https://bucket.s3.us-east-1.amazonaws.com", False),
        ("https://ec2-198-51-100-1.compute-1.amazonaws.com", False),
        ("https://ec2.us-east-1.evilamazonaws.com", False),
        ("https://ec2.us-east-1.amazonaws.com.example.org", False),
        ("http://127.0.0.1:4000", False),
    ],
)
def test_only_the_clock_of_awss_own_endpoints_is_trusted(url: str, is_own: bool) -> None:
    assert is_aws_host(url) is is_own

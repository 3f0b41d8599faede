"""Launch templates of annexes that are gone: the lease function removes them, and -teardown takes that away."""

from typing import Any

from annexd.account.session import translate_aws_errors
from annexd.annex.lease.identifiers import read_leased_token
from annexd.annex.lease.lease import TAG_ANNEX_ID
from annexd.aws import answers
from annexd.aws.errors import AWS_ERRORS, is_not_found


def remove(ec2: Any) -> int:
    """Delete those that annexd made in this region, where no annex lives any more; their number.

    annexd's have the form of a client token as their name, and an annex's tag.
    """
    with translate_aws_errors("DescribeLaunchTemplates"):
        filters = [{"Name": "tag-key", "Values": [TAG_ANNEX_ID]}]
        response = list(answers.listed(ec2, "describe_launch_templates", "LaunchTemplates", Filters=filters))
    names = [name for each in response if read_leased_token(name := each.get("LaunchTemplateName"))]
    for name in names:
        with translate_aws_errors(f"DeleteLaunchTemplate {name}"):
            try:
                ec2.delete_launch_template(LaunchTemplateName=name)
            except AWS_ERRORS as error:
                if not is_not_found(error):
                    raise
    return len(names)

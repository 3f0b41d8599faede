"""Delete launch templates of annexes that are gone, which the lease function would remove: -teardown deletes the
function.
"""

from typing import Any

from annexd.account.session import translate_aws_errors
from annexd.annex.lease.identifiers import read_leased_token
from annexd.annex.lease.lease import TAG_ANNEX_ID
from annexd.aws import answers
from annexd.aws.errors import AWS_ERRORS, is_not_found


def remove(ec2: Any) -> int:
    """Delete annexd's launch templates in this region, where no annex lives any more; return their number.

    They are recognised by a name in the form of a client token, and an annex's tag.
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

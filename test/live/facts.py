"""Facts to verify: annexd's assumptions about AWS, with the evidence and its certainty.

A rehearsal's report shows the result beside each fact.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Fact:
    """`key` names the fact in reports and recordings; the product or the emulator relies on `assumed`."""

    key: str
    question: str
    assumed: str
    evidence: str


@dataclass(frozen=True)
class Answer:
    """The observed behaviour of AWS.  `holds` is None if it could not be determined; `said` has the reason."""

    key: str
    holds: bool | None
    said: str
    seconds: float


_ALL: Final = (
    Fact(
        "default-vpc",
        "Does the account have a default VPC?",
        "it has: otherwise -setup fails",
        "CERTAIN that a security group without VpcId fails there: github.com/aerospike/aws-cloudformation/issues/24",
    ),
    Fact(
        "setup-policy",
        "Does -setup work with setup.json and setup-stack.json, and no other right?",
        "it does",
        "SUSPECTED of some rights of CloudFormation's handlers: their schemas in github.com/pulumi/pulumi-aws-native",
    ),
    Fact(
        "role-delay",
        "How long after CreateRole can the role be assumed?",
        "less than 90 s",
        "LIKELY: github.com/hashicorp/terraform-provider-aws/pull/14265 retries for two minutes",
    ),
    Fact(
        "first-heartbeat",
        "How long after -setup's stack does the rule call the function?",
        "within 7 minutes",
        "SUSPECTED: the documentation promises the interval only",
    ),
    Fact(
        "user-policy-dry-run",
        "Does a DryRun of RequestSpotFleet pass with user.json?",
        "DryRunOperation",
        "LIKELY: every operation's own text; github.com/aws/karpenter-provider-aws validates its rights so",
    ),
    Fact(
        "no-run-instances",
        "Does the DryRun see that ec2:RunInstances is missing?",
        "UnauthorizedOperation",
        "CERTAIN that the right is needed (Spot Fleet user guide; github.com/Coalfire-Research/npk/issues/148); "
        "UNKNOWN whether DryRun checks it",
    ),
    Fact(
        "fleet-tagging",
        "Is ec2:CreateTags on the fleets' own resource enough for their tags?",
        "UnauthorizedOperation: it is asked on every resource",
        "SUSPECTED: the user guide says so; against it github.com/aws/aws-rfdk; UNKNOWN whether DryRun checks it",
    ),
    Fact(
        "pass-role-ec2",
        "Is it enough that roles may be passed to ec2.amazonaws.com?",
        "DryRunOperation",
        "LIKELY: AWSThinkboxDeadlineSpotEventPluginAdminPolicy has no other; UNKNOWN whether DryRun checks it",
    ),
    Fact(
        "no-create-tags",
        "Does the DryRun see that ec2:CreateTags is missing?",
        "UnauthorizedOperation",
        "LIKELY needed (user guide, Spot Fleet permissions); UNKNOWN whether DryRun checks it",
    ),
    Fact(
        "pass-role-spotfleet",
        "Is iam:PassRole checked as ec2.amazonaws.com?",
        "UnauthorizedOperation without it",
        "LIKELY: AWS's own BatchServiceRolePolicy and AWSThinkboxDeadlineSpotEventPluginAdminPolicy; UNKNOWN whether "
        "DryRun looks",
    ),
    Fact("order", "Is an order carried out with user.json?", "it is", "LIKELY: the three rights above"),
    Fact(
        "instance-tags",
        "Do a fleet's instances have its tag when they are first seen?",
        "they have",
        "LIKELY: github.com/nathants/libaws; many tools filter by it",
    ),
    Fact(
        "history",
        "Does the fleet's history show its launches?",
        "launched instances, no error",
        "CERTAIN: API reference, DescribeSpotFleetRequestHistory",
    ),
    Fact(
        "history-order",
        "In which order is the history?",
        "the oldest event first",
        "LIKELY: AWS's examples; no text promises an order, and annexd relies on none",
    ),
    Fact(
        "extend",
        "Is a changed tag of a fleet seen within seconds?",
        "at once, or a little late",
        "CERTAIN that EC2 is eventually consistent; no number is promised",
    ),
    Fact(
        "cancel",
        "Does -cancel end the instances within minutes?",
        "they are gone within 5 minutes",
        "CERTAIN: cancel-spot-fleet page of the user guide",
    ),
    Fact(
        "ec2-fleet-order",
        "Is an order by EC2 Fleet carried out with user.json?",
        "it is",
        "LIKELY: EC2 user guide, EC2 Fleet prerequisites; the policies of github.com/aws/karpenter-provider-aws",
    ),
    Fact(
        "ec2-fleet-tags",
        "Have the instances of an EC2 Fleet its tag, and those of its launch template?",
        "they have",
        "CERTAIN: EC2 user guide, Tag an EC2 Fleet",
    ),
    Fact(
        "ec2-fleet-cancel",
        "Does -cancel end the instances of an EC2 Fleet within minutes?",
        "they are gone within 5 minutes",
        "LIKELY: API reference, DeleteFleets; UNKNOWN which right to terminate is enough",
    ),
    Fact(
        "ec2-fleet-template",
        "Does the lease function remove the launch template of an annex that is gone?",
        "within two ticks",
        "it is annexd's promise: docs/leases.md",
    ),
    Fact(
        "short-lease",
        "Does the lease function end a lease that is over?",
        "one or two ticks after its end",
        "it is annexd's promise: docs/leases.md",
    ),
    Fact(
        "state-at-expiry",
        "Which state does a fleet have in the minute around its ValidUntil?",
        "active, then cancelled_running",
        "UNKNOWN: both are handled",
    ),
    Fact(
        "second-cancel",
        "What does a cancellation with termination do to a cancelled_running fleet?",
        "acted-upon, refused or no-effect: annexd ends it in each case",
        "SUSPECTED: for github.com/getmoto/moto/issues/4715; against github.com/nathants/libaws",
    ),
    Fact(
        "empty-lists",
        "Does CancelSpotFleetRequests return empty lists?",
        "it does",
        "LIKELY: the example of github.com/aws/aws-cli; against it that of botocore; annexd reads both",
    ),
    Fact(
        "protected-cancel",
        "Does a cancelled fleet end an On-Demand instance with termination protection?",
        "it stays",
        "UNKNOWN: botocore's EC2 model shows TerminateInstances only",
    ),
    Fact(
        "on-demand-tagged",
        "Does an On-Demand instance of a fleet have the fleet's tag?",
        "it has",
        "LIKELY: AWSEC2SpotFleetServiceRolePolicy, which lets Spot Fleet end what has it",
    ),
    Fact(
        "protected-terminate",
        "How does TerminateInstances respond to it?",
        "OperationNotPermitted",
        "CERTAIN: github.com/jenkinsci/ec2-fleet-plugin/issues/327",
    ),
    Fact(
        "rule-deletion",
        "How often is DeleteRule right after RemoveTargets refused?",
        "sometimes",
        "CERTAIN that it happens (recorded in github.com/cloud-custodian/cloud-custodian)",
    ),
    Fact("teardown", "Does -teardown delete everything, with setup.json's rights?", "it does", "as of setup-policy"),
)
FACTS: Final = {each.key: each for each in _ALL}

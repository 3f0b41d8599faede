"""An AWS account made ready for annexes, looked at, and left as it was.

    setup          the stack of a region, and the file that tells HTCondor of it
    check          what is wrong, and how to fix it; one module of `checks` for each part of the stack
    teardown       everything away again, unless an annex lives
    closing        no annex needs the lease function, and none will, before it goes
    enforcer       the lease function: whose it is, open or closed, and seen at work
    network        the default VPC, or one of the account's own; subnets has its subnets
    fresh          a new instance profile is known before it is used
    annexes        the annexes of every pool in a region
    stack          one CloudFormation stack, in whatever state it is found
    template       templates/annex.json, and what it means in one account
    configuration  the file for config.d
    policies       who needs which rights, by the calls that the code makes
    session        the caller's own credentials

Only condor_annex uses it, and imports it only for this: it needs botocore, which takes as long to import as an order
takes.
"""

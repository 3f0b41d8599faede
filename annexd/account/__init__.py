"""Set up an AWS account for annexes, check the setup, and remove it.

    setup          create the stack of a region, and the file that configures HTCondor for it
    check          report problems and how to fix them; `checks` has one module for each part of the stack
    teardown       delete everything, unless an annex lives
    closing        make sure that no annex needs the lease function, or will need it, before its deletion
    enforcer       the lease function: its stack, whether it is open or closed, and its heartbeat
    network        the default VPC, or another one of the account; `subnets` handles its subnets
    fresh          wait until AWS knows a new instance profile
    annexes        the annexes of every pool in a region
    stack          one CloudFormation stack, in any state
    template       templates/annex.json, resolved for one account
    configuration  the file for config.d
    policies       the rights that each role needs, derived from the calls in the code
    session        the caller's own credentials

Only condor_annex uses this package, and imports it only for these tasks: it needs botocore, whose import takes as long
as an order.
"""

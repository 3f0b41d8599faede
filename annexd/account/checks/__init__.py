"""What -check-setup looks at, one module for each part; each check is a function from what is seen to its findings.

access         credentials, clocks, the region
deployment     the stack: there, whole, of our template, and not changed since
function       the lease function: open, its code, its settings, whether it can run, who may call it
heartbeat      the rule that calls it, the log group, MaxLease, and what its newest run found
roles          what each role may do: what the template says, no less and no more
bucket         private, encrypted, forgetful
network        a network for the machines; the security group: no way in
quotas         what the account is allowed
volumes        the key with which volumes are encrypted, if that is the default
rights         what AWS's DryRun says of an order with these credentials
configured     what HTCondor was told
"""

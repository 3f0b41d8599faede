"""The checks of -check-setup, one module for each part; each check is a function from a View to findings.

access         credentials, clocks, the region
deployment     the stack: exists, is complete, has our template, and was not changed since
function       the lease function: open, code, settings, concurrency, permissions to call it
heartbeat      the rule that calls it, the log group, MaxLease, and the result of its latest run
roles          each role has exactly the rights in the template
bucket         private, encrypted, objects expire
network        a network for the machines; the security group: nothing inbound
quotas         the account's limits
volumes        the KMS key of volumes, if they are encrypted by default
rights         AWS's DryRun of an order with these credentials
configured     HTCondor's configuration
"""

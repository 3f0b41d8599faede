"""What -check-setup looks at, one module for each part; each check is a function from what is seen to its findings.

    access         credentials, clocks, the region
    deployment     the stack: there, whole, of our template, and not changed since
    function       the lease function: its code, its runtime, who may call it, and whether it answers
    roles          what each role may do: what the template says, no less and no more
    bucket         private, encrypted, forgetful
    network        the security group: no way in
    quotas         what the account is allowed
    configured     what HTCondor was told
"""

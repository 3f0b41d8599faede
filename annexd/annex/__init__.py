"""What an annex is: the order, its lease, its names, its steps and the reply.

    defaults       what the administrator sets
    request        a command ad -> BulkRequest, or all its faults
    joining        how its machines come into the pool: what is asked for, and what stands in the order
    machine        the configuration of those machines
    parcel         the object from which they configure themselves
    filling        what setup made, where the request says nothing
    identifiers    exact names, never prefixes
    lease          the rule, the target and the tags
    steps          one module a step; annex_steps() puts them together
    access         the requester's keys -> clients
    reply          an outcome -> the reply ad
    warm           what a first request need not wait for
    bulk_request   all of it, for the daemon: an ad in, a reply ad out

Importing this package imports none of them: condor_annex must start quickly.
"""

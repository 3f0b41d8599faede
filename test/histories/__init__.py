"""Check that nothing leaks: a small model of the promises, and histories that try to break it.

    timeline    virtual time, in which no wait takes real time
    services    a fast AWS in this process: Lambda, its log, S3, and the emulated cloud's own Spot Fleets
    transport   botocore's last hop, into that AWS
    cloud       that AWS in action: calls arrive or get lost, and its rule fires
    function    lambda/lease.py as Lambda runs it
    annexd      the daemon's processes: the real engine, steps and journal
    bystanders  foreign resources in the same account
    points      the places for faults, counted as they are reached
    faults      the faults that can occur there
    model       the promises, checked after every event
    courses     histories without faults
    history     one history, from its plan to its verdict
    catalog     all histories
    seeds       random ones, with many annexes

`python -m test.histories` runs histories for a given time; `--replay NAME` runs one again and prints its whole log.
"""

"""Nothing leaks: a small model of what must be true, and histories that try to break it.

    timeline    virtual time: nothing here waits
    services    a quick AWS in this process: Lambda, its log, S3, and the emulated cloud's own Spot Fleets
    transport   botocore's last hop, into that AWS
    cloud       that AWS as it acts: calls arrive or do not, and its one rule fires
    function    lambda/lease.py as Lambda runs it
    annexd      the daemon's lives: the real engine, steps and journal
    bystanders  what is in the same account and is not ours
    points      where something can go wrong, counted as they are met
    faults      what can go wrong there
    model       what must be true, after every event
    courses     how histories go when nothing goes wrong
    history     one history, from its plan to its verdict
    catalog     which histories there are
    seeds       random ones, with many annexes

`python -m test.histories` plays as many as it is told to; `--replay NAME` plays one again, and tells all of it.
"""

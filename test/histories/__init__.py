"""Nothing leaks: a small model of what must be true, and histories that try to break it.

    timeline   virtual time: nothing here waits
    services   a quick AWS in this process: EventBridge, Lambda, and the emulated cloud's own Spot Fleets
    cloud      that AWS as it acts: rules fire, lambda/lease.py runs, calls arrive or do not
    faults     what may go wrong at one point of a history
    annexd     the daemon's lives: the real engine, steps and journal
    model      what must be true, after every event
    history    one history, from its plan to its verdict
    catalog    which histories there are

`python -m test.histories` runs as many as it is told to; `python -m test.histories --replay NAME` one.
"""

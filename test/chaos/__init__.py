"""kill -9 at random moments, under load: the real daemon, a real condor_master, an emulated AWS over HTTP.

    supervisor      starts condor_master again whenever it ended, as systemd would
    client      one order, asked for until there is an answer
    site       the pool, the cloud and its processes
    customers   who orders, and whose client may be killed, too
    trouble     what is killed, and what AWS does meanwhile, by the dice of a seed
    verdict     the model, asked of the cloud's own record at the end
    play        one whole run of it

`python -m test.chaos --seed 17 --kills 300`; the seed fixes each kill, its target and the pauses in between.
What the machine makes of that differs each time.
"""

"""kill -9 at random moments, under load: the real daemon, a real condor_master, an emulated AWS over HTTP.

    supervisor      restarts condor_master whenever it ends, as systemd would
    client      sends one order until there is a reply
    site        the pool, the cloud and the processes
    customers   place the orders; their clients may be killed, too
    trouble     kills and AWS faults, chosen at random from a seed
    verdict     checks the model against the cloud's own record at the end
    play        one whole run

`python -m test.chaos --seed 17 --kills 300`; the seed fixes each kill, its target and the pauses in between.
The timing on the machine still differs from run to run.
"""

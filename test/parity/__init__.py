"""Compare annexd's responses with those of the pool's C++ schedd.

Thousands of questions are cheap: one process that has loaded HTCondor's bindings forks for each client, which has its
own configuration (`ping_worker.py`).  `daemon_pair.py` is the pool; `clients.py`, `servers.py` and `lists.py` hold the
cases; `known_differences.py` lists the intended differences, each of which is in docs/differences.md.

    make parity ARGS="--seed 7 --lists 300"
"""

"""The same questions to the pool's own C++ schedd and to annexd, and what differs in the answers.

Thousands of questions are cheap: one process that has loaded HTCondor's bindings forks for each client, which asks with
a configuration of its own (asker.py).  `ground.py` is the pool, `clients.py`, `servers.py` and `lists.py` what is
tried, `known.py` the differences that are meant, each of which stands in docs/differences.md.

    make parity ARGS="--seed 7 --lists 300"
"""

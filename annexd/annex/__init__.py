"""An annex: its order, its lease, its machines, its end.

Rooms, each standing on those before it:

    lease          the end of an annex, in tokens and tags, and the lease function that enforces it
    request        what a command ad may say, its checks, and the order that it becomes
    fleet          whose keys reach which account, what is there, and what is wrong with it
    join           the config bundle, from which machines join the pool
    steps          one module a step; annex_steps() puts those of an order together

On top of them: `commands` (an ad in, a reply ad out), with a module for each command; `index`, the annexes that the
journal knows; `reply`; and what annexd does unasked: `reconcile`, `living`, `expiry`.

Importing this package imports none of them: condor_annex must start quickly.
"""

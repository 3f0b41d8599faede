"""An annex: its order, its lease, its machines, its end.

Subpackages, each based on those before it:

    lease          the end of an annex, in tokens and tags, and the lease function that enforces it
    request        the contents of a command ad, its checks, and the resulting order
    fleet          access to accounts with the requester's keys, their inventory, and its troubles
    join           the config bundle, from which machines join the pool
    steps          one module a step; annex_steps() puts those of an order together

On top of them: `commands` (an ad in, a reply ad out), with a module for each command; `index`, the annexes in the
journal; `reply`; and what annexd does by itself: `reconcile`, `living`, `expiry`.

Importing this package imports none of them: condor_annex must start quickly.
"""

"""Call HTCondor's Python bindings safely.

`values` checks arguments; `bindings` makes every call that takes data.  annexd and condor_annex use nothing else: no
other module calls such a function of classad2 or htcondor2 (test/test_imports.py).
"""

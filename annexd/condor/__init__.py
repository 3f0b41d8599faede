"""HTCondor's Python bindings, and the one way into them.

`values` says what they may be given, `bindings` makes every call of theirs that takes data.  annexd and condor_annex
both go this way; no other module calls such a thing of classad2 or htcondor2 (test/test_imports.py).
"""

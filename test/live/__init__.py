"""make live: a rehearsal of annexd on a real AWS account, by whoever has one.

Everything else in the project meets an emulated AWS that was made from the same understanding as the product.  This
runs the real parts (condor_master, annexd, condor_annex) against AWS itself, looks at what only AWS can answer, ends
all that it made, proves that nothing is left, and writes a report that can be sent in.  docs/live.md tells how.
"""

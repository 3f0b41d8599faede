"""Rehearse annexd on a real AWS account (make live).

All other tests use an emulated AWS, written with the same understanding as the product.  This runs the real parts
(condor_master, annexd, condor_annex) with AWS itself, finds out the facts that only AWS knows, ends all that it
created, proves that nothing is left, and writes a report that can be sent in.  See docs/live.md.
"""

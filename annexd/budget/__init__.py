"""Budgets: what orders may cost at most, in which period, and what is spent, reserved and left.

Pure: it knows micro-dollars, times and names, and nothing of AWS, the journal or HTCondor.
"""

"""Budgets: the maximum cost of orders in a period, and the amounts spent, reserved and left.

Pure: this package knows micro-dollars, times and names, but not AWS, the journal or HTCondor.
"""

"""annexd: the HTCondor annex daemon, and condor_annex, its tool.

One promise orders everything in here: what annexd starts ends with its lease, whatever dies.
"""

__version__ = "0.1.0"

"""Knobs: reading them through HTCondor's bindings, changing them at run time, showing their sources."""

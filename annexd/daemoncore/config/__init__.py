"""Knobs: read through HTCondor's own bindings, changed at run time, and shown with their sources."""

"""The daemons around this one: its collector, and the condor_master that started it."""

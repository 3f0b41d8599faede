"""The daemon's place in the pool: its ads in the collector, and its condor_master."""

"""Tests of the HTCondor behaviour that demand relies on, and of the code that turns idle jobs into machines."""

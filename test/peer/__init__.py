"""Faults of HTCondor's own condor_annex (25.14.1, measured against an emulated AWS), each with annexd's behaviour."""

"""condor_annex here against HTCondor's own, on the same emulated AWS: `python -m test.bench`."""

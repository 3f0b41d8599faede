"""annexd and condor_annex against HTCondor's own C++ programs, side by side in one run: `python -m test.bench`."""

"""Security policy from HTCondor's knobs, and the credentials that prove an identity."""

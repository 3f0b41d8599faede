"""Security policy by HTCondor's knobs, and what proves an identity."""

"""The end of an annex, and the lease function that enforces it."""

"""annexd itself: a daemon made of daemoncore, the workflow and the annex package."""

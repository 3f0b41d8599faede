"""annexd itself: daemoncore, the workflow and annexes put together."""

"""Plan machines for idle jobs."""

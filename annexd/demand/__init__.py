"""Plan machines for idle jobs.  Nothing calls this yet."""

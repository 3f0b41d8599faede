"""The process itself: command line, PID file, inheritance, limits, directories."""

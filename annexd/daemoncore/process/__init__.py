"""The daemon's process: command line, PID file, inheritance, limits, directories."""

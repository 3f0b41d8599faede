"""Fuzz everything that reads bytes from unauthenticated peers: see targets.py and `make fuzz`."""

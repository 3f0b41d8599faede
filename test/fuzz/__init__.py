"""Whatever bytes arrive before anybody has proved who they are: see targets.py, and `make fuzz`."""

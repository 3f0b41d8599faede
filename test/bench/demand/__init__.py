"""The cost of rules that order machines for idle jobs, and the waiting times under them, in virtual time."""

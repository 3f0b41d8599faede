"""DaemonCore in Python: what every HTCondor daemon does, without annexes, AWS or the workflow."""

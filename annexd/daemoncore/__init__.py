"""What every HTCondor daemon does, in Python: DaemonCore without annexes, AWS or the workflow."""

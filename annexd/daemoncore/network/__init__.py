"""Sockets: a TCP port or condor_shared_port, and limits on unauthenticated peers."""

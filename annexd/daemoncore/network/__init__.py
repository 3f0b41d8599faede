"""Sockets: an own port or condor_shared_port, and limits on peers that have not authenticated."""

"""Implement the server side of HTCondor's wire protocol (CEDAR) without I/O: bytes in, events out.

The core never waits, logs, opens a file or reads the clock.  It asks for what it cannot know by an event (events.py);
the answer comes back through a method of Connection (connection.py).  No input raises anything but PeerError
(errors.py).
"""

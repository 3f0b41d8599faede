"""HTCondor's wire protocol (CEDAR), server side, without I/O: bytes in, events out.

Nothing in here waits, asks the time, logs or opens anything: what the core cannot know becomes an event
(events.py), and the answer returns by a method of Connection (connection.py).  Whatever bytes a peer sends,
nothing but PeerError (errors.py) comes out.
"""

"""The rim: everything of annexd that waits, listens, forks, reads files or asks the time.

The only package with asyncio.  The protocol (annexd.cedar), the lists (annexd.authorization) and the orders
(annexd.annex, annexd.workflow) are told what happened and say what to do; here it is done.
"""

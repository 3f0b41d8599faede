"""Beginnings of programs that tests run as processes of their own."""

AS_ANNEXD = """\
from annexd.daemoncore.program import run_as
from annexd.service.program import PROGRAM
run_as(PROGRAM)
"""

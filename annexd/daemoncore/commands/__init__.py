"""The commands that every daemon answers, and the way of one to its handler."""

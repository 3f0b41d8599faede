"""Commands that every daemon answers, and their dispatch to handlers."""

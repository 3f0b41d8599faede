"""Attack annexd: an honest client must still be answered in a stated time, and memory must stay bounded."""

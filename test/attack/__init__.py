"""Attack annexd: an honest client must still get a response in a stated time, and memory must stay bounded."""

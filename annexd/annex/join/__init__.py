"""How an annex's machines join the pool: the config bundle and its content."""

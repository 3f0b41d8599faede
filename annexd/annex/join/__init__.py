"""How a machine of an annex joins the pool: the config bundle, and what is in it."""

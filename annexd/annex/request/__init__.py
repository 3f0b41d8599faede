"""Command ads: their attributes, their checks, and the orders made from them."""

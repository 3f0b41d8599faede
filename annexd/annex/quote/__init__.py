"""A quote of an order: all its checks, its machines and its price, without any effect."""

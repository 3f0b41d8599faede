"""What an order would be: all its checks, its machines and its price, without any effect."""

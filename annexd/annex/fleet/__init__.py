"""The annexes of one region in AWS: the requester's clients, the inventory, and why a fleet starts nothing."""

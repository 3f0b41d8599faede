"""annexd under attack: a good client is still answered, in a stated time, and memory stays bounded."""

"""What a command ad may say, and the checks of what it says."""

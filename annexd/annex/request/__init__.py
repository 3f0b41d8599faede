"""What a command ad may say, the checks of what it says, and the order that it becomes."""

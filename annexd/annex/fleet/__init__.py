"""What a region holds of annexes: who may be asked, what is there, what is wrong with it."""

"""What rules of ordering machines for idle jobs cost, and how long jobs wait under them, in virtual time."""

"""What things cost: calls of an API, rented and bought accelerators, and whole machines with power, room and people."""

"""What things cost: calls of an API (`planner.prices.api`), rented and bought accelerators (`planner.prices.rent`)."""

"""Which model, and whose machine: questions of a choice, candidates, and what decides between them."""

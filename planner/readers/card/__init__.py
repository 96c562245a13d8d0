"""Model cards: what makers claim."""

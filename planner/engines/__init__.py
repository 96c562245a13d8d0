"""How each engine lays out memory and schedules work."""

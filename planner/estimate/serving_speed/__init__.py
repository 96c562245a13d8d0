"""How fast a serving engine answers at a fixed number of requests: time per output token, time to the first."""

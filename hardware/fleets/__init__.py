"""Where fleets come from: one module per source."""

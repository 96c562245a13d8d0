"""Own machine against API: what a month of tokens costs either way."""

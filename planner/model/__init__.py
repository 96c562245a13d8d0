"""What a network is: layers made of parts, their parameters, their state, their work per token."""

"""config.json and the settings beside it."""

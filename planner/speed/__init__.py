"""How long a step takes: operators in ideal seconds, and the fitted factors that make them real ones."""

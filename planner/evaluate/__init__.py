"""An evaluation of one's own: prompts with checks, the answers that came, and which of them solve the task."""

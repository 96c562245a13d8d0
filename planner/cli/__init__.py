"""The command line: one file per command, each parse → one call to `planner.api` → one renderer."""

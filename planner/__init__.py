"""Capacity planning for self-hosted open-weight language models; `planner.api` is the way in."""

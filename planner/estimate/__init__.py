"""Memory, time, throughput and their uncertainty: formulas over frozen records."""

"""How many of which machine: layouts tried, capacities found, options weighed."""

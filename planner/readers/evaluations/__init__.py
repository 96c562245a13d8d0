"""Results of evaluations that others ran: who solved how many of which tasks, at how many tokens."""

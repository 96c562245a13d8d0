"""One file per source of facts about the machine at hand."""

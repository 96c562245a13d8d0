"""Files of measured speeds, whoever wrote them: one reader for each format, all giving the rows of two tables."""

"""The report on own machines against APIs: kept as one JSON file, from which page, tables and charts are made."""

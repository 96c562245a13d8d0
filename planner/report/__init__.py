"""Says it: records become documents, documents become tables, Markdown, JSON, CSV and HTML."""

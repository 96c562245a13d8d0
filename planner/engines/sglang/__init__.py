"""SGLang: what it allocates on each GPU at start-up."""

"""Facts about accelerators, models and prices, each with source, date and basis; see `profiles.loader`."""

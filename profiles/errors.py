"""What can go wrong with profile data."""


class ProfileError(Exception):
    """A profile row is missing, malformed or contradicts itself; the message names file, row and field."""

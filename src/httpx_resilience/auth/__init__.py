"""Authentication by tokens that are renewed in time."""

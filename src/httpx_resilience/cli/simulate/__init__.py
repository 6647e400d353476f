"""One's own policy against servers in trouble, in virtual time."""

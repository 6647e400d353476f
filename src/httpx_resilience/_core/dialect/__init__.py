"""How an API speaks: its error codes, its envelope, and what a failure is in its words."""

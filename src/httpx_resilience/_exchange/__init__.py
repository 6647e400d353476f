"""One call's steps, carried out, for each kind of client."""

"""The command line: demo, fetch, errors."""

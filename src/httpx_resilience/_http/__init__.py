"""The HTTP library: nothing outside this folder names it, but the front door."""

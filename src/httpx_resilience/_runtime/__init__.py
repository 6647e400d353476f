"""The event loop: one module for each kind, and nothing else names its libraries."""

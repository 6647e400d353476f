"""The dialects that ship: data, not code, as far as it can be."""

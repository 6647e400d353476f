"""Whether, when and how often a failed attempt is repeated."""

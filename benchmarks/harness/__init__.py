"""How it is measured and shown: rounds, rows, targets, reports, virtual time, instructions."""

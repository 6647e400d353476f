"""What happened to a call, as typed events."""

"""What is told: log lines, call history, redaction."""

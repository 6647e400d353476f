"""What is reported: log lines, call history, redaction."""

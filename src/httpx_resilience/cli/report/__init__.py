"""What a log says happened: read, counted, and shown as tables, JSON or a page."""

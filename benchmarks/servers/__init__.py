"""What they send to: servers in this process, and one of its own behind loopback."""

"""Who takes part: the bare transport, ours with parts on or off, the peers, and their queues."""

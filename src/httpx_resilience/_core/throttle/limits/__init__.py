"""What may hold a request back: each limit is asked in turn whether one more may go."""

"""A store that processes share: Redis or Valkey, over a client that the user passes."""

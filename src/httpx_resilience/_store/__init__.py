"""The store that processes share limits by: Redis or Valkey, by the user's own client."""

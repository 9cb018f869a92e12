"""TLS, tokens and files that only their owner may read."""

"""Other servers' protocols, so that their clients work unchanged. One protocol a file."""

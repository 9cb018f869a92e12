"""Checkpoints on disk: found, checked, packaged."""

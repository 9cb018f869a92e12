"""Scores of every image by every model, through the service."""

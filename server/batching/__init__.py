"""Queues, batches, and when they are sent."""

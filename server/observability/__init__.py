"""Metrics, logs, traces, and the quality of what is answered."""

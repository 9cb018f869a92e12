"""The wire format: tensors, batches of rows, limits, tracing headers."""

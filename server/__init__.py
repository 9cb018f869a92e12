"""The service: a typed gRPC front, and the TorchServe behind it."""

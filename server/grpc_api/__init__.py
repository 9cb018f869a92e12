"""The gRPC surface: servicer, validation, interceptors."""

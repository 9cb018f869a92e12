"""What a service can take, and what its front costs beside TorchServe alone and the bare model."""

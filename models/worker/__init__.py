"""The process in which TorchServe runs a model."""

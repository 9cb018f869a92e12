"""The engine for models that others made: graphs by ONNX Runtime, laws by name, noise of ours."""

"""The Open Inference Protocol (v2), in front of the same servicer."""

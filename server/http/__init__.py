"""The HTTP port: JSON and binary protobuf, the Open Inference Protocol, pages."""

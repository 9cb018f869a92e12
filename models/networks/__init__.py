"""Networks: tensors in, tensors out; no probability."""

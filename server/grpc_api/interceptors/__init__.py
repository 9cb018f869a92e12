"""What stands around every call: errors, tokens, admission, telemetry."""

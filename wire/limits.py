"""What one request may ask for: documented once, checked by the client before it sends and by the server."""

MIB = 2**20

# gRPC's default is 4 MiB to receive; both ends set this instead.
MAX_MESSAGE_BYTES = 64 * MIB
# Rows, N, of one request.
MAX_ROWS = 100_000
# Samples per row, K.
MAX_SAMPLES = 5_000
# Samples of one request, N * K.
MAX_ROW_SAMPLES = 1_000_000
# Models of one comparison.
MAX_MODELS = 1024

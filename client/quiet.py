"""What grpc writes to stderr of its own accord, line upon line for one failure, is hushed: errors say it.

To be imported before grpc, which reads this once. Whoever sets the variable, to debug for one, has the say.
"""

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

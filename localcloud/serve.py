"""`python -m localcloud.serve WORLD ROOT PORT`: the local cloud in the foreground."""

import json
import os
import sys
from pathlib import Path

from localcloud import messages

if __name__ == "__main__":
    messages.alone()
    from localcloud.cloud import World
    from localcloud.server import main

    code = main(Path(sys.argv[2]), World(**json.loads(sys.argv[1])), int(sys.argv[3]))
    sys.stdout.flush()
    # All is closed: taking the interpreter and its libraries down would only take time.
    os._exit(code)

"""The local cloud imports the vendors' messages, and the clients of the served services alone."""

import subprocess
import sys

from localcloud.services import RPC, rpc_methods
from tests.clone import ROOT

PROGRAM = """
from localcloud import messages
messages.alone()
import sys, localcloud.server
from localcloud.services import RPC, rpc_methods
print(sum(len(rpc_methods(service)) for service in RPC))
print(sorted(n for n in sys.modules if n.startswith("google.cloud.") and n.endswith(".client")))
"""


def test_no_other_service_s_client_is_imported() -> None:
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    number, clients = done.stdout.splitlines()
    assert int(number) == sum(len(rpc_methods(service)) for service in RPC)
    assert clients == str(sorted(f"{service.client}.client" for service in RPC))

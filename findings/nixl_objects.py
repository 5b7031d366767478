"""NIXL's plug-in OBJ at an S3 endpoint of a finding."""

import os
import time

os.environ.update(AWS_EC2_METADATA_DISABLED="true", NIXL_LOG_LEVEL="ERROR")
from nixl_cu12._api import nixl_agent, nixl_agent_config


def agent_at(endpoint: str, name: str) -> nixl_agent:
    """An agent of this name with the plug-in, for the bucket `kv`."""
    agent = nixl_agent(name, nixl_agent_config(backends=[]))
    settings = {
        "bucket": "kv",
        "endpoint_override": endpoint,
        "scheme": "http",
        "use_virtual_addressing": "false",
        "region": "us-east-1",
        "access_key": "a",
        "secret_key": "s",
    }
    agent.create_backend("OBJ", settings)
    return agent


def run(agent: nixl_agent, transfer: object) -> str:
    """Starts a transfer, and returns the state in which it ends."""
    state = agent.transfer(transfer)
    deadline = time.monotonic() + 30
    while state == "PROC" and time.monotonic() < deadline:
        time.sleep(0.01)
        state = agent.check_xfer_state(transfer)
    return state

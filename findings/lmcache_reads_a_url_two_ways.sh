#!/usr/bin/env bash
# Subject: LMCache 0.5.6, the daemon's URL in its in-process adapter (P) and its multi-process client (M).
# Guess: `sagemaker-hyperpod://…` means the same in both, port 9200 unless another is named, and
#   `use_https: "false"` means no TLS.
# Behaviour: there is no default port, so a URL without one goes to 80. P expands `$NODE_IP`, M
#   takes the dollar sign for a host's name. M refuses `http://…` in the place of the scheme, P takes
#   it. P keeps a slash or a line end behind the URL, M drops them. In P every text is true, "false" too.
# Seen:
# | sagemaker-hyperpod://node        P http://node          M http://node
# | sagemaker-hyperpod://$NODE_IP:1  P http://10.0.0.7:1    M http://$NODE_IP:1
# | http://node:9200                 P http://node:9200     M ValueError
# | sagemaker-hyperpod://node:1\n    P http://node:1\n      M http://node:1
# | use_https: "false"               P https://node:1
# Why it matters: a Kubernetes manifest that works in one mode reaches nothing in the other, and the
#   only sign is misses.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install lmcache==0.5.6 $(<"$here/lmcache_connector.txt")
python - <<'PYTHON' 2>"$work/log" | check
import os
from types import SimpleNamespace

import lmcache_connector  # noqa: F401 puts the stand-ins in place, before LMCache
from lmcache.v1.distributed.l2_adapters.sagemaker_hyperpod_client import SageMakerHyperPodClient
from lmcache.v1.storage_backend.connector import (
    sagemaker_hyperpod_adapter,
    sagemaker_hyperpod_connector,
)

os.environ["NODE_IP"] = "10.0.0.7"
# The adapter hands its result to the connector's class, and this shows it.
sagemaker_hyperpod_connector.SageMakerHyperPodConnector = SimpleNamespace


def in_process(url: str, **settings: object) -> str:
    adapter = sagemaker_hyperpod_adapter.SageMakerHyperPodConnectorAdapter()
    config = SimpleNamespace(
        extra_config={f"sagemaker_hyperpod_{name}": value for name, value in settings.items()}
    )
    context = SimpleNamespace(url=url, config=config, loop=object(), local_cpu_backend=object())
    return adapter.create_connector(context).sagemaker_hyperpod_url


def multi_process(url: str) -> str:
    try:
        return SageMakerHyperPodClient.normalize_url(url)
    except ValueError as error:
        return type(error).__name__


for url in (
    "sagemaker-hyperpod://node",
    "sagemaker-hyperpod://$NODE_IP:1",
    "http://node:9200",
    "sagemaker-hyperpod://node:1\n",
):
    taken = in_process(url).replace("\n", "\\n"), multi_process(url)
    print(f"{url.replace(chr(10), chr(92) + 'n'):32} P {taken[0]:20} M {taken[1]}")
taken = in_process("sagemaker-hyperpod://node:1", use_https="false")
print(f"""{'use_https: "false"':32} P {taken}""")
PYTHON

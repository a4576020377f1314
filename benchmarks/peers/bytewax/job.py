"""One process of the benchmarks' job on Bytewax: `PYTHON -m benchmarks.peers.bytewax.job ORDER`, in JSON (see peer.py).

Runs in an environment of its own, and imports nothing of this project but its neighbours.
"""

import importlib
import json
import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main


def main(order: SimpleNamespace) -> None:
    """Run the flow, from where the recovery store says if there is one."""
    store = Path(order.state)
    if not store.exists():
        unfinished = store.with_suffix(".unfinished")
        unfinished.mkdir(exist_ok=True)
        init_db_dir(unfinished, 1)
        unfinished.rename(store)
    flow = importlib.import_module(f"benchmarks.peers.bytewax.{order.flow}").flow(order)
    epoch = timedelta(seconds=order.epoch_s)
    cli_main(flow, epoch_interval=epoch, recovery_config=RecoveryConfig(store))


if __name__ == "__main__":
    main(SimpleNamespace(**json.loads(sys.argv[1])))

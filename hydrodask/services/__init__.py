"""Run the real services on this machine: install, start, check and stop each.

Takes pinned artefacts (`cluster/local/NAME`) and a data directory, gives a service that answers on
loopback. Loses nothing of what a service has stored when it is stopped. Each service is one module
with the contract `Service`.
"""

from hydrodask.services.contract import Service, State
from hydrodask.services.kafka import KafkaService

__all__ = ["SERVICES", "KafkaService", "Service", "State"]

SERVICES = {"kafka": KafkaService}
"""Every service by name."""

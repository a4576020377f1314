"""How a service that does not answer is started, if it is one that `hydrodask services` starts on this machine."""

import re

from hydrodask.hosts import is_loopback

_HOST = re.compile(r"(?:[\w+.-]+://)?(?:[^@/]*@)?(\[[^\]]+\]|[^:/,?]+)")


def start(service: str, address: str, otherwise: str = "start it") -> str:
    """Return what to do about a service at a URL or host:port that does not answer.

    >>> start("kafka", "127.0.0.1:9092"), start("hdfs", "hdfs://localhost/lake"), start("kafka", "kafka.plant:9092")
    ('start it: `hydrodask services up kafka`', 'start it: `hydrodask services up hdfs`', 'start it')
    """
    found = _HOST.match(address)
    here = found is not None and is_loopback(found[1].strip("[]"))
    return f"start it: `hydrodask services up {service}`" if here else otherwise

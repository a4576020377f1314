"""HDFS on this machine: a name node and one to three data nodes, on loopback."""

import json
import re
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from hydrodask.services import java, ports
from hydrodask.services.java import JavaService
from hydrodask.services.server import ServiceProcess
from hydrodask.services.service import Say

VERSION = "3.5.0"
PORT = 8020
HTTP_PORT = 9870
DATA_PORT = 9856
"""The first data node's is 10 more, the next one's 20."""
ANSWER_S = 3.0
NAME_NODE = "org.apache.hadoop.hdfs.server.namenode.NameNode"
DATA_NODE = "org.apache.hadoop.hdfs.server.datanode.DataNode"

_SITE = {
    "dfs.datanode.http.address": f"{ports.LOOPBACK}:0",
    "dfs.datanode.ipc.address": f"{ports.LOOPBACK}:0",
    "dfs.namenode.datanode.registration.ip-hostname-check": "false",
    "dfs.namenode.safemode.extension": "0",  # the data nodes are here, nobody else comes
    # A file may close as soon as its last block is with a data node, before the name node has heard
    # so from there: 25 ms instead of the client's first retry, 500 ms. Counts from two data nodes on.
    "dfs.namenode.file.close.num-committed-allowed": "1",
    "dfs.namenode.replication.min": "1",
    "dfs.datanode.synconclose": "true",  # a block outlives a power cut
    "dfs.heartbeat.interval": "1s",
    # A data node that is silent for 3 s gets no new blocks if there are others, and after 12 s counts as dead.
    "dfs.namenode.stale.datanode.interval": "3000",
    "dfs.namenode.avoid.write.stale.datanode": "true",
    "dfs.namenode.avoid.read.stale.datanode": "true",
    "dfs.namenode.heartbeat.recheck-interval": "1000",
    "dfs.namenode.redundancy.interval.seconds": "1s",
    "dfs.namenode.handler.count": "4",
    "dfs.datanode.handler.count": "4",
}


class HdfsService(JavaService):
    """HDFS with names, blocks, logs and process records in `folder`."""

    name = "hdfs"
    version = VERSION
    heap_default = "256m"

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        http_port: int | None = None,
        data_nodes: int | None = None,
        heap: str | None = None,
        with_parent: bool = False,
    ) -> None:
        super().__init__(folder, heap=heap, with_parent=with_parent)
        self.port = self.choice("port", port, PORT)
        self.http_port = self.choice("http_port", http_port, HTTP_PORT if self.port == PORT else self.port + 1)
        # Two, because with a single one every close waits half a second: see num-committed-allowed.
        self.data_nodes = self.choice("data_nodes", data_nodes, 2)
        self._data_ports = [self._data_port(number) for number in range(1, self.data_nodes + 1)]
        self._conf = self.folder / "conf"
        self._names = self.folder / "names"

    @property
    def address(self) -> str:
        return f"hdfs://{ports.LOOPBACK}:{self.port}"

    @property
    def web(self) -> str:
        """The address of WebHDFS."""
        return f"webhdfs://{ports.LOOPBACK}:{self.http_port}"

    @property
    def class_path(self) -> str:
        return f"{self._conf}:{super().class_path}"

    def sets(self) -> list[str]:
        return [f"lake.url={self.address}/hydrodask/lake"]

    def servers(self) -> Sequence[ServiceProcess]:
        name_node = ServiceProcess("namenode", f"{ports.LOOPBACK}:{self.port}", self.folder / "namenode.log")
        data_nodes = [
            ServiceProcess(f"datanode-{n}", f"{ports.LOOPBACK}:{port}", self.folder / f"datanode-{n}.log")
            for n, port in enumerate(self._data_ports, 1)
        ]
        return [name_node, *data_nodes]

    def _data_port(self, number: int) -> int:
        """Return the port of a data node: the same after each restart, so that clients find it again."""
        default = DATA_PORT + 10 * number if self.port == PORT else ports.free_port()
        return self.choice(f"data_port_{number}", None, default)

    def argv(self, server: ServiceProcess) -> Sequence[str]:
        jvm = self._jvm(server.log)
        if server.name == "namenode":
            return self.java(NAME_NODE, jvm=jvm, server=True)
        blocks = (self.folder / server.name.replace("datanode", "blocks")).as_uri()
        own = [f"-Ddfs.datanode.data.dir={blocks}", f"-Ddfs.datanode.address={server.address}"]
        return self.java(DATA_NODE, *own, jvm=jvm, server=True)

    def prepare(self, say: Say) -> None:
        """Write the settings, and format the name node's folder if it is new."""
        for page in ("hdfs", "datanode"):  # both look for their pages, which the jars do not have
            (self._conf / "webapps" / page).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.source / "log4j.properties", self._conf / "log4j.properties")
        _write(self._conf / "core-site.xml", {"fs.defaultFS": self.address})
        _write(self._conf / "hdfs-site.xml", self._site())
        if not (self._names / "current" / "VERSION").exists():
            say("formatting the name node's folder")
            shutil.rmtree(self._names, ignore_errors=True)  # what a killed formatting has left
            command = ["-format", "-nonInteractive", "-clusterId", f"hydrodask-{uuid.uuid4()}"]
            tool = self.java(NAME_NODE, *command, jvm=self._jvm(self.folder / "format.log"))
            java.run(tool, f"format {self._names}")

    def answers(self) -> bool:
        info, system = self._bean("NameNodeInfo"), self._bean("FSNamesystemState")
        if info is None or system is None:
            return False
        # Another HDFS may sit on the port: ours has the id that it was formatted with.
        ours = info.get("ClusterId") == self._cluster_id()
        return ours and not info.get("Safemode") and int(system.get("NumLiveDataNodes", 0)) >= self.data_nodes

    def _jvm(self, log: Path | None) -> list[str]:
        return [f"-Dhydrodask.log={log}", "-Djava.net.preferIPv4Stack=true"]

    def _site(self) -> dict[str, str]:
        return _SITE | {
            "dfs.namenode.rpc-address": f"{ports.LOOPBACK}:{self.port}",
            "dfs.namenode.http-address": f"{ports.LOOPBACK}:{self.http_port}",
            "dfs.namenode.name.dir": self._names.as_uri(),
            # Of three nodes one may die, and new files at once avoid it; with three copies they could not.
            "dfs.replication": str(min(2, self.data_nodes)),
        }

    def _bean(self, name: str) -> dict[str, Any] | None:
        """Return what the name node says of itself, or None when it does not answer."""
        body = ports.http_get(
            f"{ports.LOOPBACK}:{self.http_port}", f"/jmx?qry=Hadoop:service=NameNode,name={name}", timeout_s=ANSWER_S
        )
        beans = json.loads(body)["beans"] if body else []
        return beans[0] if beans else None

    def _cluster_id(self) -> str | None:
        text = (self._names / "current" / "VERSION").read_text(encoding="utf-8")
        found = re.search(r"^clusterID=(.*)$", text, re.MULTILINE)
        return found[1].strip() if found else None


def _write(path: Path, properties: dict[str, str]) -> None:
    lines = [f"<property><name>{k}</name><value>{escape(v)}</value></property>" for k, v in properties.items()]
    path.write_text("\n".join(["<configuration>", *lines, "</configuration>", ""]), encoding="utf-8")

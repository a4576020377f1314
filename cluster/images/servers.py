"""Images of the servers that tests on Kubernetes need, out of the artefacts that `hydrodask services up` pins.

Users take the official images, which the chart names; these have their programs at the same places.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cluster.images import roots

C_LIBRARIES = ("libc6", "libgcc-s1", "libstdc++6", "zlib1g", "busybox-static", "tzdata")
CURL = (
    *(
        "libcurl4",
        "libnghttp2-14",
        "libidn2-0",
        "librtmp1",
        "libssh2-1",
        "libpsl5",
        "libgssapi-krb5-2",
        "libldap-2.5-0",
    ),
    *("libzstd1", "libbrotli1", "libunistring2", "libgnutls30", "libhogweed6", "libnettle8", "libgmp10", "libkrb5-3"),
    *("libk5crypto3", "libcom-err2", "libkrb5support0", "libsasl2-2", "libp11-kit0", "libtasn1-6", "libkeyutils1"),
)
MONGODB = ("libssl3", "liblzma5", "libffi8", *CURL)

JAVA_MODULES = (
    "java.base,java.compiler,java.desktop,java.instrument,java.logging,java.management,java.naming,java.net.http,java.rmi,java.scripting,"
    "java.security.jgss,java.security.sasl,java.sql,java.xml,jdk.crypto.cryptoki,jdk.crypto.ec,jdk.jfr,jdk.management,"
    "jdk.net,jdk.security.auth,jdk.unsupported,jdk.zipfs"
)

QUICK = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:+ExitOnOutOfMemoryError"
"""As the local services: a test's server starts in half the time, and ends rather than limp."""

KAFKA = """#!/bin/sh
exec java @QUICK@ ${KAFKA_HEAP_OPTS:--Xmx512m} \\
  ${KAFKA_LOG4J_OPTS:--Dlog4j2.configurationFile=/opt/kafka/config/log4j2.xml} ${KAFKA_OPTS} \\
  -cp '/opt/kafka/libs/*' %s "$@"
"""
HADOOP = """#!/bin/sh
if [ "$1" = --config ]; then export HADOOP_CONF_DIR="$2"; shift 2; fi
case "$1" in
  namenode) main=org.apache.hadoop.hdfs.server.namenode.NameNode; more="$HDFS_NAMENODE_OPTS" ;;
  datanode) main=org.apache.hadoop.hdfs.server.datanode.DataNode; more="$HDFS_DATANODE_OPTS" ;;
  dfs) main=org.apache.hadoop.fs.FsShell ;;
  dfsadmin) main=org.apache.hadoop.hdfs.tools.DFSAdmin ;;
  *) echo "hdfs $1 is not in this image: namenode, datanode, dfs, dfsadmin" >&2; exit 2 ;;
esac
shift
path="${HADOOP_CONF_DIR:-/opt/hadoop/etc/hadoop}:/opt/hadoop/etc/pages:/opt/hadoop/lib/*"
exec java @QUICK@ $HADOOP_OPTS $more -cp "$path" $main "$@"
"""
CONSOLE = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="WARN" shutdownHook="disable">
  <Appenders>
    <Console name="console">
      <PatternLayout pattern="%d{yyyy-MM-dd'T'HH:mm:ss.SSS'Z'}{UTC} %p %c{1}: %m%n"/>
    </Console>
  </Appenders>
  <Loggers>
    <Logger name="kafka.server.KafkaRaftServer" level="INFO"/>
    <Root level="WARN">
      <AppenderRef ref="console"/>
    </Root>
  </Loggers>
</Configuration>
"""
LOG4J = """log4j.rootLogger=WARN,console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c{1}: %m%n
log4j.logger.org.apache.hadoop.util.NativeCodeLoader=ERROR
log4j.logger.org.apache.hadoop.hdfs.server.namenode.NameNode=INFO
log4j.logger.org.apache.hadoop.hdfs.StateChange=ERROR
"""
MLFLOW = '#!/usr/bin/python3\nfrom mlflow.cli import cli\n\nif __name__ == "__main__":\n    cli()\n'


def installed(name: str) -> Path:
    """Fetch what `services up NAME` runs, verified; return the folder that it is in."""
    from hydrodask.services import SERVICES, Options  # noqa: PLC0415  # hydrodask's own images need no hydrodask

    with tempfile.TemporaryDirectory() as folder:
        service = SERVICES[name](Path(folder), Options())
        service.install(lambda _: None)
    found = next(getattr(service, place) for place in ("jars", "root", "program") if hasattr(service, place))
    return Path(found)


def kafka(root: Path) -> None:
    """Put Kafka where apache/kafka has it: storage tool and server."""
    home = root / "opt/kafka"
    _java(root, "kafka")
    shutil.copytree(installed("kafka"), home / "libs")
    scripts = {"kafka-storage.sh": "kafka.tools.StorageTool", "kafka-server-start.sh": "kafka.Kafka"}
    _write(home / "bin", {name: (KAFKA % main).replace("@QUICK@", QUICK) for name, main in scripts.items()})
    _write(home / "config", {"log4j2.xml": CONSOLE})


def hadoop(root: Path) -> None:
    """Put name node and data node where apache/hadoop has them; their pages are not in the jars, and empty."""
    home = root / "opt/hadoop"
    _java(root, "hadoop")
    shutil.copytree(installed("hdfs"), home / "lib")
    _write(home / "bin", {"hdfs": HADOOP.replace("@QUICK@", QUICK)})
    (root / "usr/local/bin/hdfs").symlink_to("/opt/hadoop/bin/hdfs")
    _write(home / "etc/hadoop", {"log4j.properties": LOG4J})
    _write(root / "bin", {"bash": '#!/bin/sh\nexec sh "$@"\n'})  # Hadoop asks it for `df`
    for page in ("hdfs", "datanode"):
        (home / "etc/pages/webapps" / page).mkdir(parents=True)


def mongo(root: Path) -> None:
    """Put mongod where the official image has it; there is no shell for it."""
    shutil.copy2(installed("mongodb"), root / "bin/mongod")


def prometheus(root: Path) -> None:
    """Put Prometheus where prom/prometheus has it."""
    _programs(root, "prometheus", {"prometheus": "prometheus", "promtool": "promtool"})


def pushgateway(root: Path) -> None:
    """Put the Pushgateway where prom/pushgateway has it."""
    _programs(root, "pushgateway", {"prometheus-pushgateway": "pushgateway"})


def alertmanager(root: Path) -> None:
    """Put the Alertmanager where prom/alertmanager has it."""
    _programs(root, "alertmanager", {"prometheus-alertmanager": "alertmanager", "amtool": "amtool"})


def mlflow(root: Path) -> None:
    """Install MLflow's own environment, with its pages."""
    lock = roots.REPOSITORY / "cluster/local/mlflow/requirements.txt"
    roots.python_packages(root, lock, pages=True)
    _write(root / "usr/local/bin", {"mlflow": MLFLOW})
    roots.compile_inside(root, "mlflow.server", "uvicorn.workers", "sqlalchemy.dialects.sqlite")


def _java(root: Path, user: str) -> None:
    """Link a Java of the modules that are needed; Hadoop dies for a user without a name."""
    small = ["--strip-debug", "--no-header-files", "--no-man-pages"]
    subprocess.run(["jlink", "--add-modules", JAVA_MODULES, *small, "--output", str(root / "opt/java")], check=True)
    # What every Java loads, made ready: a third of a start.
    subprocess.run([str(root / "opt/java/bin/java"), "-Xshare:dump"], check=True, stdout=subprocess.DEVNULL)
    (root / "usr/local/bin/java").symlink_to("/opt/java/bin/java")
    with (root / "etc/passwd").open("a", encoding="utf-8") as file:
        file.write(f"{user}:x:1000:1000::/tmp:/bin/false\n")


def _programs(root: Path, name: str, wanted: Mapping[str, str]) -> None:
    found = installed(name)
    for program, target in wanted.items():
        shutil.copy2(found / "usr/bin" / program, root / "bin" / target)
    if (found / "usr/share/prometheus").is_dir():
        shutil.copytree(
            found / "usr/share/prometheus", root / "usr/share/prometheus", symlinks=True, dirs_exist_ok=True
        )


def _write(folder: Path, files: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)

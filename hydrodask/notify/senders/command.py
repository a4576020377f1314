"""Messages to a program of this machine, on its standard input. No shell: a rig's name runs nothing."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

from hydrodask.errors import ConfigError, RetryableError, sentence
from hydrodask.settings.notify import Command

_OURS = ("HYDRODASK_", "_HYDRODASK_")
"""Variables that may hold secrets, which a program that passes messages on need not know."""


class CommandSender:
    """Runs the command once a message; it has taken it when it ends with 0."""

    def __init__(self, channel: Command, key: str, timeout_s: float) -> None:
        self._argv, self._timeout_s = list(channel.command), timeout_s
        if shutil.which(self._argv[0]) is None:
            raise ConfigError(f"{key}.command has value {self._argv[0]!r}, which is no program that can be run here")

    def send(self, message: Mapping[str, Any]) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        try:
            done = subprocess.run(  # noqa: S603 - what the configuration names
                self._argv,
                input=json.dumps(message, allow_nan=False).encode(),
                env=environment,
                capture_output=True,
                timeout=self._timeout_s,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RetryableError(f"{self._argv[0]}: {sentence(error)}") from None
        if done.returncode:
            said = done.stderr.decode("utf-8", errors="replace").strip().splitlines()
            raise RetryableError(f"{self._argv[0]} ends with {done.returncode}{f': {said[0][:200]}' if said else ''}")
        return ""

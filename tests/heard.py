"""What a test hears of what hydrodask logs."""

import logging


class Logged(logging.Handler):
    """What hydrodask has logged, whatever others in this process do to the root logger and its handlers."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(map(self.format, self.records))

    @property
    def errors(self) -> str:
        """What was an error."""
        return "\n".join(self.format(record) for record in self.records if record.levelno >= logging.ERROR)

    def why(self, name: str) -> str:
        """Return what could have kept a logger from being heard here, for a test that misses its sentence."""
        found: list[object] = [f"{logging.root.manager.disable=}"]
        logger: logging.Logger | None = logging.getLogger(name)
        while logger is not None:
            state = (logger.level, logger.disabled, logger.propagate, logger.filters, logger.handlers)
            found.append((logger.name, *state, logger._cache))  # type: ignore[attr-defined]
            logger = logger.parent
        return f"{found}; heard: {self.records}"

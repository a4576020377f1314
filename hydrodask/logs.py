"""Lines of the log: one an event, with its fields, for people (`text`) or for machines (`json`).

Takes log records; gives `…  what happened topic=hydraulic-PS1 partition=0 offset=4711`, or the same as a JSON object.
An event's fields are what it was logged with: `extra=spot(source, offset)`. Loses nothing; secrets are hidden as in all
logs (`redaction`).
"""

import copy
import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from hydrodask.errors import HydrodaskError, kind_and_sentence
from hydrodask.redaction import redacted, visible

if TYPE_CHECKING:
    from hydrodask.records import PartitionId

Kind = Literal["text", "json"]

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

_NOT_FIELDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}
"""What every record has; all else was given with `extra`."""

_TALKATIVE = ("distributed", "bokeh", "mlflow", "alembic")
"""Libraries with handlers of their own."""

_SAID = logging.getLogger("hydrodask.said")
"""Under this name a program's own lines (progress, figures, notes) are events, when all is to be JSON."""


def spot(source: "PartitionId", offset: int | None = None, **more: object) -> dict[str, object]:
    """Return the fields of an event that concerns a partition: where it is, and what else is known.

    >>> spot(("hydraulic-PS1", 0), 4711)
    {'topic': 'hydraulic-PS1', 'partition': 0, 'offset': 4711}
    """
    where = {"topic": source[0], "partition": source[1]}
    return where | ({} if offset is None else {"offset": offset}) | more


class Text(logging.Formatter):
    """One line an event, fields at its end as key=value; of an error its sentence, unless `traces` are wanted."""

    def __init__(self, *, traces: bool = False) -> None:
        super().__init__(FORMAT)
        self._traces = traces

    def format(self, record: logging.LogRecord) -> str:
        if self._traces:
            text = super().format(record)
        else:
            brief, error = _brief(record)
            text = super().format(brief)
            text = " ".join((text if error is None else f"{text}: {named(error)}").split())
        fields = (f"{name}={_word(value)}" for name, value in _fields(record).items())
        return visible(redacted(" ".join([text, *fields])))


class Json(logging.Formatter):
    """One JSON object an event: at, level, logger, event, its fields; `error`, and with `traces` its `trace`."""

    def __init__(self, *, traces: bool = False) -> None:
        super().__init__("%(message)s")
        self._traces = traces

    def format(self, record: logging.LogRecord) -> str:
        brief, error = _brief(record)
        at = datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds")
        body: dict[str, object] = {"at": at.replace("+00:00", "Z"), "level": record.levelname, "logger": record.name}
        body["event"] = super().format(brief)
        body |= _fields(record)
        if error is not None:
            body["error"] = named(error)
        if error is not None and self._traces and record.exc_info:
            body["trace"] = self.formatException(record.exc_info)
        return redacted(json.dumps(body, default=str, ensure_ascii=True))


def named(error: BaseException) -> str:
    """Return the sentence of an error; of one that is none of ours with its kind."""
    return str(error) if isinstance(error, HydrodaskError) else kind_and_sentence(error)


def begin(level: int, *, traces: bool) -> None:
    """Log to stderr, for people; what libraries that have handlers of their own say as well."""
    logging.basicConfig(level=level, format=FORMAT, stream=sys.stderr)
    use("text", traces=traces)


def begin_in_worker() -> None:
    """Log to stderr in a worker's process: without a handler Python would print the bare sentence."""
    ours = logging.getLogger("hydrodask")
    if not ours.handlers and not logging.getLogger().handlers:
        ours.addHandler(logging.StreamHandler())
        ours.handlers[0].setFormatter(Text())


def use(kind: Kind, *, traces: bool | None = None) -> None:
    """Let all that log in this process log like that from now on; `traces` None: as before."""
    known = [logging.getLogger(), *map(logging.getLogger, ("hydrodask", *_TALKATIVE))]
    for handler in (handler for logger in known for handler in logger.handlers):
        before = handler.formatter
        wanted = Json if kind == "json" else Text
        if traces is None and (isinstance(before, wanted) or (kind == "text" and not isinstance(before, Json))):
            continue  # a process of others keeps what it has
        keep = before._traces if isinstance(before, Text | Json) else False  # noqa: SLF001 - ours
        handler.setFormatter(wanted(traces=keep if traces is None else traces))


def are_json() -> bool:
    """Say whether this process logs JSON: then what it would print is logged, too."""
    return any(isinstance(handler.formatter, Json) for handler in logging.getLogger().handlers)


def say(text: str, fields: Mapping[str, object] | None = None) -> None:
    """Log one of the lines that a program prints otherwise; it is an event whatever level is logged."""
    _SAID.setLevel(logging.INFO)
    _SAID.info("%s", text, extra=dict(fields or {}))


def _brief(record: logging.LogRecord) -> tuple[logging.LogRecord, BaseException | None]:
    """Return a record without its stack trace, and its error."""
    brief = copy.copy(record)
    brief.exc_info = brief.exc_text = brief.stack_info = None
    return brief, record.exc_info[1] if record.exc_info else None


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in record.__dict__.items() if name not in _NOT_FIELDS}


def _word(value: object) -> str:
    r"""Return a value as it stands behind key=: in quotes if it would not end at the next blank.

    >>> [_word(one) for one in (4711, "hydraulic-PS1", "two words", 'a"b')]
    ['4711', 'hydraulic-PS1', '"two words"', '"a\\"b"']
    """
    text = str(value)
    plain = text and not any(letter.isspace() or letter in '"=' for letter in text)
    return text if plain else json.dumps(text)

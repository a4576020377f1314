"""Publish dead letters again, each once: the record and the mark that says so are in one transaction."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NoReturn

from hydrodask.audit.letters import RETRIED, RETRY_OF, Letter, letters, why_again
from hydrodask.audit.log import BrokerLog
from hydrodask.errors import ConfigError, FatalError
from hydrodask.kafka import KafkaException, Producer, producer, raise_from, translate
from hydrodask.records import PartitionId
from hydrodask.settings import Settings

BATCH = 500
"""Letters in one transaction."""

_FULL_QUEUE_WAITS_MAX = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFilter:
    """Which letters are meant: all that fit everything that is given."""

    places: frozenset[tuple[int, int]] = frozenset()
    topic: str | None = None
    reason: str | None = None
    since_us: int | None = None

    def fits(self, letter: Letter, settings: Settings) -> bool:
        """Say whether a letter is meant; a topic may be named in full or by its sensor."""
        if self.places and (letter.partition, letter.at) not in self.places:
            return False
        if self.topic is not None and letter.source[0] not in (self.topic, settings.topic(self.topic)):
            return False
        if self.reason is not None and self.reason.lower() not in letter.reason.lower():
            return False
        return self.since_us is None or letter.time_us >= self.since_us


@dataclass(slots=True)
class Retried:
    """What became of the letters that were meant."""

    published: list[str] = field(default_factory=list)
    done_before: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


class DeadLetters:
    """The dead letters of a platform. Raises ConfigError with an embedded broker: it has forgotten them."""

    def __init__(self, settings: Settings) -> None:
        if settings.kafka.embedded:
            raise ConfigError(
                "kafka.embedded has value True: the embedded broker's dead letters are gone when its run ends, and "
                "other processes don't reach them; use a real broker (--profile local-services)"
            )
        self.settings = settings
        self._topic = settings.topic("dead-letter")
        self._log = BrokerLog(settings.kafka)

    def close(self) -> None:
        """Let go of the connections."""
        self._log.close()

    def find(self, wanted: LetterFilter) -> Iterator[Letter]:
        """Yield the letters that are meant, in the order of their partitions."""
        return (one for one in self._all() if one.mark is None and wanted.fits(one, self.settings))

    def marks(self) -> set[tuple[int, int]]:
        """Return the places of the letters that were published again."""
        return {one.mark for one in self._all() if one.mark is not None}

    def one(self, place: tuple[int, int]) -> Letter | None:
        """Return the letter at a partition and offset, None when there is none."""
        source = (self._topic, place[0])
        if source not in self._log.sources([self._topic]):
            return None
        low, high = self._log.bounds(source)
        if not low <= place[1] < high:
            return None
        found = next(letters(self._log, source, place[1], place[1] + 1), None)
        return found if found is not None and found.at == place[1] and found.mark is None else None

    def retry(self, wanted: LetterFilter, *, force: bool, say: Callable[[str], None] = lambda _said: None) -> Retried:
        """Publish the letters that are meant to where they came from, key and bytes as they were. Blocks.

        Those that were published again before are left alone, and those that would certainly fail again too, unless
        `force`. A second one at the same time fences the first, which then raises FencedError.
        """
        sender = _LetterSender(self.settings)
        # Read after the fence: what another had committed by then is seen, and it can commit no more.
        return self._sort(wanted, force=force, publish=sender.publish, finish=sender.commit, say=say)

    def would(self, wanted: LetterFilter, *, force: bool) -> Retried:
        """Return what `retry` would do now, and do nothing."""
        return self._sort(wanted, force=force, publish=lambda _: None, finish=lambda: None, say=lambda _: None)

    def _sort(
        self,
        wanted: LetterFilter,
        *,
        force: bool,
        publish: Callable[[Letter], None],
        finish: Callable[[], None],
        say: Callable[[str], None],
    ) -> Retried:
        marks, result, pending = self.marks(), Retried(), 0
        for letter in self.find(wanted):
            why = why_again(letter, self.settings)
            lost = letter.value is None or letter.truncated_from is not None
            if (letter.partition, letter.at) in marks:
                result.done_before.append(letter.place)
            elif why is not None and (lost or not force):
                result.refused[letter.place] = why
            else:
                publish(letter)
                result.published.append(letter.place)
                pending += 1
                if pending % BATCH == 0:
                    finish()
                    say(f"{len(result.published):,} published again")
        finish()
        return result

    def _all(self) -> Iterator[Letter]:
        """Yield everything that is on the topic."""
        for source in self._sources():
            yield from letters(self._log, source, *self._log.bounds(source))

    def _sources(self) -> list[PartitionId]:
        found = self._log.sources([self._topic])
        if not found:
            raise FatalError(
                f"there is no topic {self._topic} on {self.settings.kafka.bootstrap}; is the prefix right?"
            )
        return found


class _LetterSender:
    """The one transactional producer of retries of a group."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._id = f"{settings.kafka.group}-dlq"
        self._open = False
        self._producer: Producer = producer(settings.kafka, **{"transactional.id": self._id})
        try:
            self._producer.init_transactions(settings.kafka.timeout)
        except KafkaException as error:
            raise_from(error, f"initialise transactional id {self._id}")

    def publish(self, letter: Letter) -> None:
        """Put a letter and its mark into the open transaction."""
        try:
            if not self._open:
                self._producer.begin_transaction()
                self._open = True
            place = letter.place.encode()
            # To its own partition: with another number of partitions by now, its key would lead elsewhere.
            self._produce(letter.source, letter.value, letter.key, (RETRY_OF, place))
            self._produce((self._settings.topic("dead-letter"), letter.partition), None, None, (RETRIED, place))
        except KafkaException as error:
            self._give_up(error)

    def commit(self) -> None:
        """Commit what is open."""
        if not self._open:
            return
        try:
            self._producer.commit_transaction(self._settings.kafka.timeout)
        except KafkaException as error:
            self._give_up(error)
        self._open = False

    def _produce(
        self, source: PartitionId, value: bytes | None, key: bytes | None, header: tuple[str, str | bytes | None]
    ) -> None:
        for _ in range(_FULL_QUEUE_WAITS_MAX):
            try:
                return self._producer.produce(source[0], value, key, partition=source[1], headers=[header])
            except BufferError:
                self._producer.poll(0.1)
        raise FatalError(f"could not publish to {source[0]}-{source[1]}: the producer's queue stayed full")

    def _give_up(self, error: KafkaException) -> NoReturn:
        found = translate(error.args[0], f"publish dead letters again as {self._id}")
        if not isinstance(found, FatalError):
            self._producer.abort_transaction(self._settings.kafka.timeout)
        raise found from error

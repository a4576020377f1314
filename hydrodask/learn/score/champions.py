"""The champions that score, kept fresh in the background: one set a process.

A new champion is loaded beside the old one and takes its place between two cycles. One that can't be loaded leaves the
old one in place, and that is a problem that people are told. Nothing heavy is imported before there is a registry.
"""

import logging
import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hydrodask import clock
from hydrodask.errors import HydrodaskError, kind_and_sentence
from hydrodask.learn import shelf
from hydrodask.settings import Settings

if TYPE_CHECKING:
    from hydrodask.learn.score.committee import Committee
    from hydrodask.learn.score.inference import Model

log = logging.getLogger(__name__)

FIRST_S = 30.0
"""How long after the first look for models cycles wait for them: once a process, whatever becomes of the registry."""


class Champions:
    """The newest loaded model of each target. `problems` says, by target, what could not be loaded."""

    def __init__(self, settings: Settings) -> None:
        self.models: Mapping[str, Committee | Model] = {}
        self.problems: Mapping[str, str] = {}
        self._before: dict[str, Committee | Model] = {}
        self._failed: dict[str, tuple[int, str]] = {}
        """By target, the version that could not score, and what was said of it."""
        self._settings = settings
        self._file = shelf.file_of(settings.mlflow_uri)
        self._registry: shelf.Registered | None = None
        self._thread: threading.Thread | None = None
        self._looked_at_s = float("-inf")
        self._waits_until_s = float("inf")

    def current(self) -> "Mapping[str, Committee | Model]":
        """Return the models to score with now; look for new ones in the background when it is time."""
        self.look()
        if self._thread is not None and not self.models:
            self._thread.join(max(0.0, self._waits_until_s - clock.monotonic_s()))
        return self.models

    def fall_back(self, model: "Committee | Model", target: str, text: str) -> None:
        """Let the model before go on, or none: this one can't score, and is not tried again in this process."""
        self._failed[target] = (model.version, text)
        models = {name: one for name, one in self.models.items() if name != target}
        before = self._before.pop(target, None)
        if before is not None:
            models[target] = before
        self.models = models
        self._note({**self.problems, target: text})

    def look(self) -> None:
        """Begin to look for new champions if it is time and nobody is looking."""
        now_s = clock.monotonic_s()
        looking = self._thread is not None and self._thread.is_alive()
        if looking or now_s - self._looked_at_s < self._settings.learn.refresh_every or not self._any():
            return
        self._looked_at_s = now_s
        self._waits_until_s = min(self._waits_until_s, now_s + FIRST_S)
        self._thread = threading.Thread(target=self.refresh, name="champions", daemon=True)
        self._thread.start()

    def refresh(self) -> None:
        """Load the champions that are not loaded yet. Never raises: what goes wrong is in `problems`."""
        try:
            self._refresh()
        except HydrodaskError as error:
            self._note({"registry": str(error)})
        except Exception as error:  # a broken registry must not stop the stream, whatever it raises
            self._note({"registry": kind_and_sentence(error)})

    def _refresh(self) -> None:
        from hydrodask.learn.score.asking import tried  # noqa: PLC0415 - a flow without models needs none

        self._registry = self._registry or shelf.shelf(self._settings)
        wanted = self._registry.champions()
        models = {target: model for target, model in self.models.items() if target in wanted}
        problems = {}
        for target, version in wanted.items():
            if target in models and models[target].version == version.version:
                continue
            failed, text = self._failed.get(target, (None, ""))
            if failed == version.version:
                problems[target] = text
                continue
            try:
                loaded = tried(self._registry.stored(version), name=version.name, version=version.version)
                if target in models:
                    self._before[target] = models[target]
                models[target] = loaded
                log.info("%s version %d scores now", version.name, version.version)
            except HydrodaskError as error:
                problems[target] = str(error)
        failed_now = {target: version for target, (version, _) in self._failed.items()}
        # At once, so that a cycle is scored by one set of models; one may have failed meanwhile.
        self.models = {t: model for t, model in models.items() if failed_now.get(t) != model.version}
        self._note(problems)

    def said(self) -> dict[str, str]:
        """Return by target what is wrong, and who scores meanwhile."""
        found = {}
        for target, text in self.problems.items():
            model = self.models.get(target)
            goes_on = "what scores goes on" if target == "registry" else "nothing is said of it"
            found[target] = f"{text}; {goes_on if model is None else f'version {model.version} goes on scoring'}"
        return found

    def _note(self, problems: dict[str, str]) -> None:
        for target, text in problems.items():
            if self.problems.get(target) != text:
                log.warning("champion of %s: %s", target, text)
        self.problems = problems

    def _any(self) -> bool:
        """Say whether there may be a registry: an embedded one is a file."""
        return self._file is None or os.path.exists(self._file)  # noqa: PTH110 - each cycle asks, until there is one


_SHARED: dict[str, Champions] = {}


def shared(settings: Settings) -> Champions:
    """Return this process's champions of a registry."""
    uri = settings.mlflow_uri.plain()
    if uri not in _SHARED:
        _SHARED[uri] = Champions(settings)
    return _SHARED[uri]

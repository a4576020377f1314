"""What a worker of others is asked before a run begins, and by `doctor`: these functions run there.

Each is a coroutine, so that one that waits for a server keeps the worker from nothing, and a worker that is busy or
paused answers, too. None raises: what is wrong is what they return.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydrodask.detect import Rule, load_rules
from hydrodask.doctor import libraries, reach
from hydrodask.doctor.outcome import Outcome
from hydrodask.errors import HydrodaskError, kind_and_sentence
from hydrodask.release import release
from hydrodask.settings import Settings, Url
from hydrodask.store.files import Files

ANSWER = "-there"
"""What is added to the name of a driver's file for the worker's."""


async def state(dask_worker: Any) -> dict[str, Any]:
    """Return which hydrodask this is, what was loaded before it, and from which share of its memory on it pauses."""
    preloads = _preloads(dask_worker)
    pause = getattr(dask_worker.memory_manager, "memory_pause_fraction", False)
    return {"release": release(), "preloads": preloads, "pause": pause}


async def scheduler(dask_scheduler: Any) -> list[str]:
    """Return what was loaded before the scheduler began."""
    return _preloads(dask_scheduler)


def _preloads(server: Any) -> list[str]:
    return [str(one.name) for one in getattr(server, "preloads", ())]


async def shared(folders: Mapping[str, Url], name: str, token: str, rules: tuple[str, tuple[Rule, ...]]) -> list[str]:
    """Return what of the driver's is not to be seen, or not to be written to, from here: a sentence each."""
    return await asyncio.to_thread(_shared, folders, name, token, rules)


def _shared(folders: Mapping[str, Url], name: str, token: str, rules: tuple[str, tuple[Rule, ...]]) -> list[str]:
    wrong = [said for key, url in folders.items() if (said := _seen(key, url, name, token))]
    file, wanted = rules
    try:
        if load_rules(file) != wanted:
            wrong.append(f"detect.rules has value {file!r}: other rules are there")
    except HydrodaskError as error:
        wrong.append(f"detect.rules: {error}")
    return wrong


def _seen(key: str, url: Url, name: str, token: str) -> str:
    """Say what is wrong with a folder, or nothing once the driver's file was read and an answer was written."""
    try:
        files = Files(url)
        if files.read(name) != token.encode():
            return f"the {key} at {url} has another file of the driver's"
        files.put_if_absent(name + ANSWER, token.encode())
    except FileNotFoundError:
        return f"the {key} at {url} is another one there: what the driver writes is not in it"
    except Exception as error:  # whatever a file system's library raises
        return f"the {key} at {url} can't be used there: {kind_and_sentence(error)}"
    return ""


async def digests(files: Mapping[str, Path], nonce: bytes) -> dict[str, str]:
    """Return a digest of each file, which says nothing of it to who does not have it; or why it can't be read."""
    return {key: digest(path, nonce) for key, path in files.items()}


def digest(path: Path, nonce: bytes) -> str:
    """Return the digest of a file with a password or certificate, or why there is none."""
    try:
        return hmac.new(nonce, path.read_bytes(), hashlib.sha256).hexdigest()
    except OSError as error:
        return f"can't be read there: {error.strerror}"


async def reaches(settings: Settings) -> list[Outcome]:
    """Return how records are fetched here, and whether broker, documents, lake and MLflow answer from here."""
    asked = [reach.broker, reach.documents, reach.lake, reach.mlflow]
    answers = await asyncio.gather(*(asyncio.to_thread(one, settings) for one in asked))
    return [libraries.fetch(), *answers]

"""`hydrodask train`: models from what is in the lake."""

from typing import Annotated, Any

import typer
from rich.table import Table

from hydrodask.cli import completion
from hydrodask.cli.common import Json, Profile, Sets, console, errors, given_time, print_json, settings

Many = list[str] | None
TARGETS, KINDS = completion.TARGETS, completion.KINDS
ORIGINS = completion.ORIGINS


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(train)


def train(
    *,
    target: Annotated[
        Many,
        typer.Option(
            help=f"Only this one; repeatable: {', '.join(TARGETS)}.",
            show_default="all five",
            autocompletion=completion.targets,
        ),
    ] = None,
    model: Annotated[
        Many,
        typer.Option(
            help=f"Only this kind; repeatable: {', '.join(KINDS)}.",
            show_default="all kinds",
            autocompletion=completion.kinds,
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Only cycles from then on, ISO 8601; without an offset in `observe.timezone`.",
            show_default="all cycles",
        ),
    ] = None,
    without: Annotated[
        Many,
        typer.Option(
            help=f"Leave labels of people out, by where they are from; repeatable: {', '.join(ORIGINS)}, by=NAME.",
            show_default="all count",
        ),
    ] = None,
    search: Annotated[int, typer.Option(min=0, max=100, help="Draws of a randomised search of parameters.")] = 0,
    schedule: Annotated[
        str | None,
        typer.Option(help='Train whenever this cron schedule says so, UTC: "0 2 * * *".', show_default="once"),
    ] = None,
    json: Json = False,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Train models on the lake's labelled cycles, judge them on three splits, register the best.

    Runs, figures and pictures go to MLflow; see `hydrodask models` for what came of it.

    Example: `hydrodask train --target valve --model gaussian`
    """
    import warnings
    from dataclasses import replace

    from hydrodask import clock
    from hydrodask.clock import Zone
    from hydrodask.flows import train as flow

    warnings.filterwarnings("ignore")  # of libraries about each other; ours are errors
    effective = settings(profile, sets)
    since_us = None if since is None else given_time("--since", since, Zone(effective.observe.timezone))
    request = replace(_request(target, model, since_us, search), without=tuple(without or ()))
    if schedule is None:
        _show(flow.run(effective, request, say=_say), json=json)
        return
    for due_us in flow.moments(schedule, clock.now_us()):
        _say(f"next training at {Zone(effective.observe.timezone).full(due_us)}")
        while (left_us := due_us - clock.now_us()) > 0:
            clock.sleep_s(min(left_us / 1e6, 60.0))
        _show(flow.run(effective, request, say=_say), json=json)


def _request(target: Many, model: Many, since_us: int | None, search: int) -> Any:
    from hydrodask.errors import UsageError, meant
    from hydrodask.learn.targets import TARGETS
    from hydrodask.learn.train.estimators import KINDS
    from hydrodask.learn.train.training import Request

    for what, chosen, known in (("target", target, TARGETS), ("model", model, KINDS)):
        for name in chosen or ():
            if name not in known:
                raise UsageError(f"there is no {what} {name!r}; known: {', '.join(known)}{meant(name, known)}")
    return Request(tuple(target or TARGETS), tuple(model or KINDS), since_us, search)


def _say(text: str) -> None:
    errors.print(text, style="dim", highlight=False, markup=False, soft_wrap=True)


def _show(outcomes: Any, *, json: bool) -> None:
    from hydrodask.learn.train.training import table

    if json:
        print_json([
            {
                "target": o.target.name, "kind": r.kind, "seconds": r.seconds, "champion": o.promoted and r is o.best,
                "figures": {s: f.as_json() for s, f in r.figures.items()},
            }
            for o in outcomes for r in o.results
        ])  # fmt: skip
        return
    shown = Table(title="macro-F1 by split")
    for name in ("target", "model", "random", "grouped", "leave-cooler", "fit s", "version"):
        shown.add_column(name, no_wrap=True)
    for row in table(outcomes):
        shown.add_row(*row, style="bold" if "champion" in row[-1] else "")
    console.print(shown)

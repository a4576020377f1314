"""Incidents that belong together are one episode; what people answer is kept, and holds as long as they said."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrodask.answers import Answer, Answers
from hydrodask.audit.plausible import odd_answer
from hydrodask.clock import US_PER_S, iso
from hydrodask.episodes import FOREVER_US, TOUCH_US, Episode, episodes, span_of

T0 = 1_790_000_000 * US_PER_S


def incident(rig: str, sensor: str, rule: str, began_s: int, ended_s: int | None, *, severity: str = "warning") -> Any:
    """Return an incident document."""
    start = iso(T0 + began_s * US_PER_S)
    return {
        "_id": f"{rig}/{sensor}/{rule}/{start}",
        "rig": rig,
        "sensor": sensor,
        "rule": rule,
        "severity": severity,
        "status": "open" if ended_s is None else "resolved",
        "opened_at": start,
        "resolved_at": None if ended_s is None else iso(T0 + ended_s * US_PER_S),
        "message": f"{rule} of {sensor}",
    }


SPANS = st.tuples(
    st.sampled_from(["a", "b"]), st.integers(0, 2_000), st.one_of(st.none(), st.integers(1, 400)), st.integers(0, 5)
)


@given(st.lists(SPANS, max_size=25), st.randoms())
def test_episodes_are_runs_of_spans_that_touch(spans: list[tuple[str, int, int | None, int]], random: Any) -> None:
    """Each incident is in one episode; within one every incident touches those before, and two do not touch."""
    every = {
        one["_id"]: one
        for rig, began_s, long_s, n in spans
        for one in [incident(rig, "CE", f"r{n}", began_s, None if long_s is None else began_s + long_s)]
    }
    shuffled = list(every.values())
    random.shuffle(shuffled)

    found = episodes(shuffled)

    assert sorted(one["_id"] for each in found for one in each.incidents) == sorted(every)
    assert found == episodes(every.values())
    for each in found:
        end_us = each.span[0]
        for one in each.incidents:
            assert span_of(one)[0] <= end_us + TOUCH_US
            end_us = max(end_us, span_of(one)[1])
    for rig in ("a", "b"):
        ours = sorted((one for one in found if one.rig == rig), key=lambda one: one.span)
        assert all(a.span[1] + TOUCH_US < b.span[0] for a, b in pairwise(ours))


def test_an_episode_is_named_by_a_person_s_worst_rule() -> None:
    """A baseline of another sensor came first; the failing cooler gives the name, and the first incident the id."""
    one = episodes(
        [
            incident("rig-1", "PS4", "baseline:stddev_value", 0, 300),
            incident("rig-1", "CE", "cooler_degraded", 30, 290),
            incident("rig-1", "CE", "cooler_failing", 60, None, severity="critical"),
        ]
    )

    assert [(each.name["rule"], each.severity, each.open, each.sensors) for each in one] == [
        ("cooler_failing", "critical", True, ["CE", "PS4"])
    ]
    assert one[0].id.startswith("rig-1/PS4/")
    assert one[0].span == (T0, FOREVER_US)


def episode() -> Episode:
    """Return one of two incidents on two sensors."""
    return episodes([incident("rig-1", "CE", "cooler_failing", 0, 100), incident("rig-1", "TS1", "oil_warm", 50, 90)])[
        0
    ]


def kept(now_us: int, **fields: object) -> dict[str, Any]:
    """Return the document of an answer."""
    change = Answer.made(fields, by="anna", now_us=now_us).change()
    return {"_id": change.id, "revision": change.revision, **change.body}


def test_answers_hold_for_the_episode_until_they_are_taken_back() -> None:
    """An answer to any of its incidents is one to the episode; the newest cause and acknowledgement count."""
    one = episode()
    second = str(one.incidents[1]["_id"])
    given_ = [
        kept(T0 + 1, kind="ack", incident=one.id, text="on my way"),
        kept(T0 + 2, kind="cause", incident=second, text="fan"),
        kept(T0 + 3, kind="cause", incident=one.id, text="fan belt"),
        kept(T0 + 4, kind="note", incident=second, text="<b>replaced</b>"),
    ]
    said = Answers(given_[::-1]).of(one)

    assert said.ack is not None
    assert (said.ack.by, said.cause and said.cause.text) == ("anna", "fan belt")
    assert [note.text for note in said.notes] == ["on my way", "<b>replaced</b>"]
    assert Answers([*given_, kept(T0 + 5, kind="unack", incident=second)]).of(one).ack is None


def test_an_episode_is_quiet_while_all_of_it_is_muted() -> None:
    """One muted rule of two leaves something to tell; maintenance of the rig does not; both end when they said."""
    one, hour_us = episode(), 3600 * US_PER_S
    rule = kept(T0, kind="mute", rule="oil_warm", for_s=3600)
    rig = kept(T0 + 1, kind="maintenance", rig="rig-1", for_s=7200)
    both = Answers([rule, rig])

    assert Answers([rule]).quiet(one, T0 + 1) is None
    assert (both.quiet(one, T0 + 2) or one).rig == "rig-1"
    assert both.muted("rig-9", "TS1", "oil_warm", T0 + 1) is not None
    assert both.muted("rig-9", "TS1", "oil_warm", T0 + hour_us) is None
    assert both.maintained("rig-1", T0 + 2 * hour_us + 2) is None
    ended = Answers([rule, rig, kept(T0 + 9, kind="maintenance", rig="rig-1", for_s=0)])
    assert ended.maintained("rig-1", T0 + 10) is None


def test_verify_tells_an_answer_from_what_is_none() -> None:
    """One of ours is fine; another kind, time, revision or length is said."""
    fine = kept(T0, kind="ack", incident="x")

    assert odd_answer(fine | {"at": "2026-01-01T00:00:00Z"}) == ""
    for wrong in ({"kind": "shout"}, {"at": "soon"}, {"by": ""}, {"revision": 3}, {"text": 7}):
        assert odd_answer(fine | {"at": "2026-01-01T00:00:00Z"} | wrong)
    assert odd_answer(fine | {"at": "2999-01-01T00:00:00Z"})


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "shout", "incident": "x"},
        {"kind": "ack"},
        {"kind": "note", "incident": "x", "text": " "},
        {"kind": "mute", "for_s": 60},
        {"kind": "mute", "rig": "a"},
        {"kind": "mute", "rig": "a", "for_s": 1e12},
        {"kind": "mute", "rig": "a", "for_s": True},
        {"kind": "maintenance", "rule": "x", "for_s": 60},
        {"kind": "note", "incident": "x", "text": "y" * 2001},
        {"kind": "ack", "incident": 7},
        {"kind": "ack", "incident": "x", "until": "2099-01-01T00:00:00Z"},
    ],
)
def test_an_answer_that_says_nothing_is_refused(fields: dict[str, object]) -> None:
    """Each names the field, its value and what is wanted."""
    with pytest.raises(Exception, match=r"of an answer has value|has no field"):
        Answer.made(fields, by="anna", now_us=T0)

"""Words as people write them, against published tools: the recall of a small sample holds, and what is kept is never trusted."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from localagent.jobs.scheduling import SCHEDULE
from localagent.store import paths
from localagent.toolbox.finding import keeping
from localagent.toolbox.finding.index import Index
from localagent.toolbox.finding.lexicon import lexicon
from localagent.toolbox.finding.vocabulary import distance
from localagent.toolbox.finding.words import addresses, english, runs, stem
from localagent.toolbox.search import Finder
from localagent.values import ToolSpec

ROOT = Path(__file__).resolve().parents[3]
URL = {"type": "object", "properties": {"url": {"type": "string"}}}
FETCH = ToolSpec("fetch_page", "Read a web page as plain text.", URL, ("net",), "web.py")
# Our own: (request, right tools) on the 50 published ones; the first three of five must have one.
SAMPLE = [
    ("what's the weather in Oslo tomorrow", "get_forecast"),
    ("whats the wheather in oslo", "get_forecast get_weather_summary get_current_conditions"),
    ("convrt 3pm berlin time to tokyo", "convert_time"),
    ("Wie wird das Wetter morgen in Hamburg?", "get_forecast"),
    ("Lösche die Notiz über den Urlaub", "delete-note"),
    ("montre-moi les événements de ma semaine", "list-events"),
    ("crea un evento en mi calendario el viernes a las 10", "create-event"),
    ("che ore sono a New York", "get_current_time"),
    ("liste as tabelas do banco de dados", "list_tables"),
    ("verwijder de afspraak van vrijdag uit mijn agenda", "delete-event"),
    ("jaka jest prognoza pogody na jutro w Krakowie", "get_forecast"),
    ("明天北京的天气预报", "get_forecast"),
    ("今何時ですか、東京で", "get_current_time"),
    ("把这条笔记移到归档文件夹", "move-note"),
    ("ما هو الطقس غدا", "get_forecast get_weather_summary get_current_conditions"),
    ("कल दिल्ली में मौसम कैसा रहेगा", "get_forecast get_weather_summary get_current_conditions"),
    ("summarise https://example.org/article for me", "fetch"),
]


def published(size: int) -> list[ToolSpec]:
    told = json.loads((ROOT / "bench/search_tools.json").read_text(encoding="utf-8"))["tools"]
    return [ToolSpec(one["name"], one["description"], one["parameters"], (), f"mcp:{one['server']}") for one in told if one["set"] <= size]


def test_ten_languages_and_slips_find_what_they_mean() -> None:
    finder = Finder(published(50))
    missed = [words for words, right in SAMPLE if not {one.spec.name for one in finder.ranked(words)} & set(right.split())]
    assert missed == []


@pytest.mark.parametrize("more", [0, 50])
@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("set a reminder in 20 minutes: take the bread out", "schedule"),
        ("wake me at 7", "schedule"),
        ("erinnere mich morgen um neun an Anna", "schedule"),
        ("每天早上七点叫我起床", "schedule"),
        ("what does https://example.org/x say", "fetch_page"),
    ],
)
def test_ours_are_offered_among_others_too(words: str, name: str, more: int) -> None:
    finder = Finder([SCHEDULE, FETCH, *(published(50) if more else [])])
    assert [one.spec.name for one in finder.ranked(words) if one.sure][:1] == [name]


@pytest.mark.parametrize("task", ["desk", "desk_mail"])
def test_nothing_of_ours_is_offered_where_it_is_not_wanted(task: str) -> None:
    import yaml

    finder = Finder([SCHEDULE, FETCH])
    prompts = [one["prompt"] for one in yaml.safe_load((ROOT / f"bench/{task}.yaml").read_text(encoding="utf-8"))]
    assert [words for words in prompts if any(one.sure for one in finder.ranked(words))] == []


def test_words() -> None:
    assert stem("reminders") == stem("reminder")
    assert stem("creating") == stem("creates") == stem("creation") and stem("queries") == stem("query")
    assert runs("getCurrentTime of 東京 में") == ["get", "current", "time", "of", "東京", "में"]
    assert english(runs("what is the time")) and not english(runs("wie ist das Wetter im Norden"))
    assert addresses("see https://www.github.com/a/b now") == ("see   now", ("github",))
    assert distance("wehn", "when", 1) == 1 and distance("gist", "list", 1) == 1 and distance("one", "three", 1) == 2


def test_a_lexicon_of_beginnings_compounds_and_signs() -> None:
    words = lexicon()
    assert words.meant("wetterbericht")[0][0] == "weather" and words.meant("المهام")[0] == words.meant("مهام")[0]
    assert "delet" in words.meant("loschen")[0] and words.meant("xyzzy") == ()
    assert [piece for piece, _ in words.held("北京的天气")] == ["天气"]
    assert "messag" in words.synonyms("mail")


def test_an_index_of_many_is_kept_and_a_damaged_one_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MANY", 1)
    specs = [SCHEDULE, FETCH]
    first = keeping.made(specs)
    (file,) = paths.cache_dir().glob("tools-*.json")
    made = []
    monkeypatch.setattr(Index, "of", classmethod(lambda cls, given: made.append(given) or first))
    assert json.dumps(keeping.made(specs).to_json()) == json.dumps(first.to_json())
    assert made == []
    for damage in (b"", b"{", b"[]", b'{"entries": [], "held": {}}', b'{"entries": [[["a"], []], [["b"], []]], "held": {"a": [7, 100]}}'):
        file.write_bytes(damage)
        keeping.made(specs)
        assert json.loads(file.read_bytes())["entries"]
    assert len(made) == 5
    for number in range(6):
        keeping.made([SCHEDULE, ToolSpec(f"t{number}", "", {})])
    assert len(list(paths.cache_dir().glob("tools-*.json"))) == 4


LONG = [letter * 50_000 for letter in ("a", "\u092c", "\u7684", "\u00fc")]


@pytest.mark.parametrize("odd", [*LONG, "\x00\x01", "", " ".join(map(str, range(9000)))], ids=range(7))
def test_texts_that_are_no_requests_take_no_time_and_find_nothing_by_force(odd: str) -> None:
    tool = ToolSpec("get_it", odd, {}, (), "mcp:odd")
    finder = Finder([tool, *published(50)])
    began = time.process_time()
    assert len(finder.ranked(odd)) <= 5
    assert time.process_time() - began < 5

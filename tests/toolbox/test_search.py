"""Which tools fit some words: what is sure enough to be offered unasked, and what is not."""

from __future__ import annotations

import asyncio
import time

import pytest

from localagent.toolbox.search import Finder
from localagent.values import ToolSpec


def tool(name: str, description: str, **parameters: str) -> ToolSpec:
    properties = {key: {"type": "string", "description": told} for key, told in parameters.items()}
    return ToolSpec(name, description, {"type": "object", "properties": properties})


TOOLS = [
    tool("convert_currency", "Convert an amount of money from one currency to another.", source="three letters, such as USD"),
    tool("get_weather", "Tell the weather forecast of a city.", city="name of the city"),
    tool("github_create_issue", "Create a new issue in a GitHub repository.", repo="owner/name"),
    tool("github_list_repos", "List repositories of a GitHub user.", user="login"),
    tool("list_bookmarks", "List the bookmarks that were kept."),
    tool("git_commit", "Record changes to the repository.", message="text"),
    tool("getCurrentTime", "Get the current time in a timezone", timezone="such as Europe/London"),
    tool("read_file", "Read the complete contents of a file from the file system.", path="path"),
    tool("查询天气", "查询城市的天气预报", 城市="城市的名称"),
]


@pytest.fixture(scope="module")
def finder() -> Finder:
    return Finder(TOOLS)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("What's the weather in Oslo?", "get_weather"),
        ("wether in paris", "get_weather"),
        ("Convert 100 USD to EUR", "convert_currency"),
        ("Create an issue on github about the crash", "github_create_issue"),
        ("show my bookmarks", "list_bookmarks"),
        ("my BOOKMARK list, please", "list_bookmarks"),
        ("what time is it in London", "getCurrentTime"),
        ("commit my changes", "git_commit"),
        ("北京的天气怎么样", "查询天气"),
        ("git_commit", "git_commit"),
    ],
)
def test_what_fits_is_first_and_sure(finder: Finder, words: str, name: str) -> None:
    best = asyncio.run(finder.find(words))[0]
    assert (best.spec.name, best.sure) == (name, True)


@pytest.mark.parametrize(
    "words",
    [
        "What is the capital of France?",
        "convert notes.md to PDF",
        "list all files in this folder",
        "Run this command: sleep 61",
        "Create a file called hello.txt that contains exactly the line: good morning",
        "Rename all .jpeg files to .jpg",
        "",
        "the of and",
        '"quoted" OR NOT near( * ^ : {}',
        "\0\ud800 \u202e",
    ],
)
def test_what_does_not_fit_is_never_sure(finder: Finder, words: str) -> None:
    assert not any(found.sure for found in finder.ranked(words))


def test_at_most_as_many_as_asked_for_the_best_first(finder: Finder) -> None:
    found = finder.ranked("github issue weather bookmarks currency time commit", 3)
    assert len(found) == 3 and [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert Finder(()).ranked("weather") == ()


def test_two_thousand_tools_are_ranked_at_once() -> None:
    things = ("mail", "wiki", "cloud", "disk", "ticket", "sheet", "chart", "photo", "invoice", "lamp")
    subjects = [f"{thing}{number}" for thing in things for number in range(20)]
    verbs = ("create", "delete", "list", "rename", "share", "archive", "watch", "count", "print", "merge")
    many = [tool(f"{verb}_{one}", f"{verb} a {one} of the account", account="whose") for one in subjects for verb in verbs]
    finder = Finder([*many, TOOLS[1]])
    assert finder.ranked("weather in Oslo")[0].spec.name == "get_weather"
    began = time.process_time()
    for number in range(10):
        assert finder.ranked(f"please archive invoice{number} of the account")[0].spec.name == f"archive_invoice{number}"
    assert (time.process_time() - began) / 10 < 0.1


def test_hostile_schemas_are_only_words() -> None:
    loop: dict[str, object] = {"type": "object"}
    loop["properties"] = {"again": loop}
    odd = [
        ToolSpec("a", "x" * 10**6, loop),
        ToolSpec("b", "", {"properties": [1], "enum": 3}),
        ToolSpec("c", "", {"properties": {"n": {"enum": "abc", "description": 7}}}),
    ]
    assert [one.spec.name for one in Finder(odd).ranked("again")] == ["a"]

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from localagent.errors import ConfigError, UsageError
from localagent.store import settings
from localagent.store.settings import Settings


def put(text: str) -> Path:
    file = settings.path()
    file.write_text(text, encoding="utf-8")
    return file


def test_simple_files_are_read_as_yaml_would_and_without_it() -> None:
    import random

    import yaml

    rng = random.Random(1)
    words = ["true", "false", "null", "yes", "off", "0", "7", "017", "12", "0x1f", "1e3", "a", "a-b", "n", "y", "nan", "-", "a:", "1-2"]
    simple = 0
    for _ in range(500):
        keys = rng.sample(["model", "threads", "no", "yes", "on", "null", "context_x"], rng.randrange(1, 4))
        text = "\n".join(f"{key}: {rng.choice(words)}" for key in keys) + rng.choice(["", "\n", "\n\n"])
        found = settings._simple(text)
        if found is not None:
            simple += 1
            assert {key: value for key, (value, _) in found.items()} == {
                str(key).lower() if key is not None else "null": value for key, value in yaml.safe_load(text).items()
            }, text
    assert simple > 20
    code = "import sys; from localagent.store import settings; settings.load(); print('yaml' in sys.modules)"
    settings.path().write_text("model: starter\nthreads: null\nbackground: true\n")
    assert settings.load() == Settings(model="starter", background=True)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_no_file_means_the_defaults_and_loads_no_yaml() -> None:
    code = "from localagent.store import settings; import sys; settings.load(); assert 'yaml' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert settings.load() == Settings()


def test_every_key_is_read() -> None:
    put("model: qwen3.5-9b\nmode: auto\ncontext: 8192\nthreads: 4\nidle_s: 30\nhub: https://mirror.example/\n")
    assert settings.load() == Settings("qwen3.5-9b", "auto", 8192, 4, 30.0, "https://mirror.example", None)


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing yet\n"])
def test_an_empty_file_means_the_defaults(text: str) -> None:
    put(text)
    assert settings.load() == Settings()


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("mode: ask\nmoed: auto\n", 2, "moed: there is no such setting"),
        ("mode: ask\n\nmode: auto\n", 3, "mode: it is already set in line 1"),
        ("mode: no\n", 1, "mode: must be one of plan, ask, auto (got False)"),
        ("mode: yolo\n", 1, "mode: must be one of"),
        ("# c\ncontext: 10\n", 2, "context: must be a whole number from 1024"),
        ("context: 16k\n", 1, "context: must be a whole number"),
        ("context: true\n", 1, "context: must be a whole number"),
        ("idle_s: .nan\n", 1, "idle_s: must be a number of seconds"),
        ("threads: 0\n", 1, "threads: must be"),
        ("hub: huggingface.co\n", 1, "hub: must be an address"),
        ("search_url: http://localhost:8888/search\n", 1, "search_url: must hold {query} once"),
        ("search_url: 'http://a b/?q={query}'\n", 1, "search_url: must name its host plainly"),
        ("search_url: 'http://u:p@a.example/?q={query}'\n", 1, "search_url: must name its host plainly"),
        ("model: [a]\n", 1, "model: must be a text"),
        ("- a\n- b\n", 1, "must hold `key: value`"),
        ("mode: ask\nmodel: 'x\n", 3, "end of stream"),
        ("mode: !!python/object/apply:os.system [x]\n", 1, "mode"),
        ("a: b: c\n", 1, "mapping values"),
        ("mode: ask\n---\nmode: auto\n", 2, ""),
    ],
)
def test_a_bad_file_is_refused_with_its_line(text: str, line: int, says: str) -> None:
    file = put(text)
    with pytest.raises(ConfigError) as caught:
        settings.load()
    assert caught.value.message.startswith(f"{file}:{line}: ")
    assert says in caught.value.message


def test_bytes_that_are_no_text_are_refused() -> None:
    settings.path().write_bytes(b"mode: \xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        settings.load()


def test_the_mirror_of_the_environment_is_the_default_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/")
    assert settings.load().hub == "https://mirror.example"
    put("hub: https://other.example\n")
    assert settings.load().hub == "https://other.example"


def test_setting_a_value_leaves_the_rest_of_the_file_alone() -> None:
    file = put("# mine\nmodel: old   # why\nmode: ask\n")
    settings.set_value("model", "starter")
    assert file.read_text() == "# mine\nmodel: starter   # why\nmode: ask\n"
    settings.set_value("context", "8192")
    assert file.read_text().endswith("mode: ask\ncontext: 8192\n")
    settings.set_value("model", "null")
    assert settings.load() == Settings(mode="ask", context=8192)


def test_setting_a_path_with_odd_characters_survives() -> None:
    settings.set_value("model", "/a b/# c: é.gguf")
    assert settings.load().model == "/a b/# c: é.gguf"


@pytest.mark.parametrize(("key", "value"), [("mode", "yes"), ("context", "x"), ("colour", "red")])
def test_a_value_that_cannot_be_is_refused_and_nothing_is_written(key: str, value: str) -> None:
    with pytest.raises(UsageError):
        settings.set_value(key, value)
    assert not settings.path().exists()


def test_describe_says_where_each_value_comes_from() -> None:
    file = put("mode: auto\n")
    described = {entry.key: entry for entry in settings.describe()}
    assert described["mode"].source == f"{file}:1"
    assert described["context"].source == "default"
    assert all(entry.help for entry in described.values())


def test_a_setting_tells_its_default_and_the_words_it_may_be() -> None:
    settings.set_value("power", "save")
    described = {one.key: one for one in settings.describe()}
    assert described["power"].choices == ("auto", "full", "save") and described["power"].default == "auto"
    assert described["background"].choices == ("true", "false") and described["context"].choices == ()

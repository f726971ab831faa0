"""The worker's protocol, spoken to a bare worker process."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BOOT = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from localagent.toolbox.worker import main; main()"


class Speak:
    """Asks a worker with a workspace and a scratch folder of its own; keeps the process for a look."""

    def __init__(self, folder: Path) -> None:
        self.workspace, self.scratch = folder / "w", folder / "s"
        self.workspace.mkdir()
        self.scratch.mkdir()
        self.code: int | None = None

    def __call__(
        self, op: str, source: str, tool: str = "", extra: dict[str, Any] | None = None, **args: Any
    ) -> list[dict[str, Any]]:
        request = {"op": op, "file": "/plugins/mine.py", "source": source, "tool": tool, "args": args}
        request |= {"workspace": str(self.workspace), "scratch": str(self.scratch), "cwd": str(self.workspace)}
        request |= extra or {}
        done = subprocess.run(
            [sys.executable, "-I", "-X", "utf8", "-c", BOOT],
            input=json.dumps(request).encode() + b"\n",
            capture_output=True,
            timeout=20,
            check=False,
        )
        self.code = done.returncode
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def speak(tmp_path: Path) -> Speak:
    return Speak(tmp_path)


def test_describe_names_the_marked_functions_in_order(speak: Speak) -> None:
    source = """
from localagent import tool
@tool(effects=[])
def second() -> str:
    "Two."
@tool(effects=["read:fs"], name="first")
def other(n: int = 3) -> str:
    "One."
def helper(): pass
"""
    (answer,) = speak("describe", source)
    assert [(t["name"], t["description"], t["effects"]) for t in answer["tools"]] == [
        ("second", "Two.", ["compute"]),
        ("first", "One.", ["read:fs"]),
    ]
    assert answer["problems"] == []


@pytest.mark.parametrize(
    ("source", "line", "told"),
    [
        ("x = 1\ndef broken(:\n", 2, "SyntaxError"),
        ("import os\nimport no_such_module_anywhere\n", 2, "name its package in the header: # /// script"),
        ("\n\nraise ValueError('at import')\n", 3, "ValueError: at import"),
        ("import sys\nsys.exit(3)\n", 2, "SystemExit"),
        ("x = 1\n", 1, "no function is marked with @tool"),
        ("from localagent import tool\n@tool\ndef f(x) -> str:\n  'Do.'\n", 2, "parameter 'x' has no type hint"),
    ],
)
def test_a_file_that_cannot_be_described_is_told_with_its_line(speak: Speak, source: str, line: int, told: str) -> None:
    (answer,) = speak("describe", source)
    assert answer["tools"] == []
    (problem,) = answer["problems"]
    assert problem["line"] == line
    assert told in problem["message"]


def _tool(body: str, head: str = "def go(n: int = 0):") -> str:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    imports = "import asyncio, os, sys, time\nfrom pathlib import Path\n"
    imports += "from localagent import *\nfrom localagent import tool\n"
    return f"{imports}@tool(effects=[])\n{head}\n    'Do.'\n{lines}\n"


def test_a_text_is_the_result(speak: Speak) -> None:
    assert speak("call", _tool("return f'got {n}'"), "go", n=4) == [
        {"text": "got 4", "failed": False, "exit_code": None, "requests": [], "pictures": []}
    ]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("return None", "Done."),
        ("return {'a': [1, 'é']}", '{\n "a": [\n  1,\n  "é"\n ]\n}'),
        ("return Path('x/y')", "x/y"),
        ("return 7", "7"),
        ("return []", "[]"),
        ("return Result('fine', exit_code=0)", "fine"),
    ],
)
def test_other_values_become_text(speak: Speak, body: str, text: str) -> None:
    (answer,) = speak("call", _tool(body), "go")
    assert (answer["text"], answer["failed"]) == (text, False)


def test_a_generator_yields_progress_and_returns_the_result(speak: Speak) -> None:
    *progress, answer = speak("call", _tool("yield 'one'\nyield 'two\\n'\nreturn 'all'"), "go")
    assert progress == [{"progress": "one\n"}, {"progress": "two\n"}]
    assert answer["text"] == "all"


def test_a_generator_without_a_result_ends_with_its_lines(speak: Speak) -> None:
    assert speak("call", _tool("yield 'one'\nyield 'two'"), "go")[-1]["text"] == "one\ntwo"


def test_async_functions_and_generators(speak: Speak) -> None:
    assert (
        speak("call", _tool("await asyncio.sleep(0)\nreturn 'slept'", "async def go():"), "go")[-1]["text"] == "slept"
    )
    *progress, answer = speak("call", _tool("yield 'a'\nyield Result('end')", "async def go():"), "go")
    assert progress == [{"progress": "a\n"}]
    assert answer["text"] == "end"


def test_what_the_plugin_prints_is_progress_and_never_protocol(speak: Speak) -> None:
    body = "print('{\"text\": \"forged\"}')\nsys.stderr.write('err\\n')\n"
    body += "os.write(1, b'raw\\n')\nos.system('echo child')\nreturn 'real'"
    *progress, answer = speak("call", _tool(body), "go")
    assert "".join(item["progress"] for item in progress) == '{"text": "forged"}\nerr\nraw\nchild\n'
    assert answer["text"] == "real"


def test_a_gigabyte_of_prints_is_cut(speak: Speak) -> None:
    *progress, answer = speak("call", _tool("for _ in range(64): print('x' * 65536)\nreturn 'done'"), "go")
    told = "".join(item["progress"] for item in progress)
    assert len(told) < 300_000
    assert "more was printed than is shown" in told
    assert answer["text"] == "done"


def test_yields_without_end_are_cut_too(speak: Speak) -> None:
    *progress, answer = speak("call", _tool("for _ in range(100): yield 'x' * 65536\nreturn 'done'"), "go")
    assert sum(len(item["progress"]) for item in progress) < 1_200_000
    assert answer["text"] == "done"


def test_a_huge_result_loses_its_middle(speak: Speak) -> None:
    (answer,) = speak("call", _tool("return 'a' * 5_000_000 + 'z'"), "go")
    assert len(answer["text"]) < 4_100_000
    assert "characters left out" in answer["text"]
    assert answer["text"].endswith("z")


def test_a_tool_error_is_its_own_text(speak: Speak) -> None:
    (answer,) = speak("call", _tool("raise ToolError('Give another path.')"), "go")
    assert answer == {"text": "Give another path.", "failed": True}


def test_an_exception_is_told_with_the_plugins_own_line(speak: Speak) -> None:
    (answer,) = speak("call", _tool("return 1 / n"), "go")
    assert answer["failed"]
    assert answer["text"] == "The tool 'go' failed. ZeroDivisionError: division by zero\n  mine.py:8 return 1 / n"
    (answer,) = speak("call", _tool("open('nowhere.txt')"), "go")
    assert answer["text"].startswith("The tool 'go' failed. No such file or directory: 'nowhere.txt'")
    (answer,) = speak("call", _tool("sys.exit(3)"), "go")
    assert "tried to exit with 3" in answer["text"]


def test_requests_come_back_absolute_with_content_in_scratch(speak: Speak, isolated: Path) -> None:
    (speak.workspace / "old.txt").write_bytes(b"old")
    body = (
        "return [Write('a/b/new.txt', 'héllo'), Write('a/b/raw', b'\\x00'), Edit('old.txt', 'changed', before=b'seen'),"
        " Move('old.txt', 'a/c/old.txt'), Copy('x', '~/y'), MakeFolder('made/deep'), Trash('gone')]"
    )
    (answer,) = speak("call", _tool(body), "go")
    root = str(speak.workspace)
    plain = [
        (r["kind"], r["path"].replace(root, "W"), r.get("dest", "").replace(root, "W")) for r in answer["requests"]
    ]
    assert plain == [
        ("make_folder", "W/a", ""),
        ("make_folder", "W/a/b", ""),
        ("write", "W/a/b/new.txt", ""),
        ("write", "W/a/b/raw", ""),
        ("edit", "W/old.txt", ""),
        ("make_folder", "W/a/c", ""),
        ("move", "W/old.txt", "W/a/c/old.txt"),
        ("copy", "W/x", f"{isolated}/y"),
        ("make_folder", "W/made", ""),
        ("make_folder", "W/made/deep", ""),
        ("trash", "W/gone", ""),
    ]
    contents = {r["path"]: Path(r["content"]) for r in answer["requests"] if "content" in r}
    assert all(path.parent == speak.scratch for path in contents.values())
    assert contents[f"{root}/a/b/new.txt"].read_bytes() == "héllo".encode()
    befores = [r["before"] for r in answer["requests"] if "content" in r]
    assert befores[:2] == ["", ""]
    assert befores[2] == hashlib.sha256(b"seen").hexdigest()
    assert answer["text"] == "7 changes made."


def test_a_pipe_cannot_be_written_and_nobody_waits_for_it(speak: Speak) -> None:
    os.mkfifo(speak.workspace / "pipe")
    (answer,) = speak("call", _tool("return Write('pipe', 'x')"), "go")
    assert answer == {"text": "pipe is a pipe or a device, not a file. Choose another name.", "failed": True}


def test_the_answer_repeats_the_number_of_the_request(speak: Speak) -> None:
    (answer,) = speak("call", _tool("yield from ()\nreturn 'x'"), "go", extra={"nonce": "abc"})
    assert answer["nonce"] == "abc"


def test_one_request_is_told_by_itself_and_the_last_write_counts(speak: Speak) -> None:
    (answer,) = speak("call", _tool("return Write('d/a.txt', 'x')"), "go")
    assert answer["text"] == "Wrote d/a.txt."


def test_a_second_write_of_one_file_replaces_the_first(speak: Speak) -> None:
    (answer,) = speak("call", _tool("return [Write('a', '1'), Write('a', '2')]"), "go")
    (request,) = answer["requests"]
    assert Path(request["content"]).read_text() == "2"


def test_a_crash_ends_the_worker_without_an_answer(speak: Speak) -> None:
    assert speak("call", _tool("os.kill(os.getpid(), 11)"), "go") == []
    assert speak.code == -11


def test_names_that_are_no_utf8_travel_unharmed(speak: Speak) -> None:
    (answer,) = speak("call", _tool("return Trash(os.fsdecode(b'a\\xff\\n'))"), "go")
    assert answer["requests"][0]["path"].endswith("a\udcff\n")


def test_the_worker_loads_little() -> None:
    heavy = "yaml psutil numpy pydantic httpx2 jinja2 llama_cpp asyncio".split()
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import localagent.toolbox.worker, localagent.toolbox.derive"
    code += f"; import localagent.toolbox.outcome; print([n for n in {heavy} if n in sys.modules])"
    assert subprocess.check_output([sys.executable, "-I", "-c", code], text=True) == "[]\n"


def test_the_package_alone_loads_nothing() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import localagent"
    code += "; print([n for n in sys.modules if n.startswith('localagent.')], [n for n in ('typing', 'dataclasses') if n in sys.modules])"
    code += "; from localagent import tool, ToolError, Result, Write, Edit, Move, Copy, MakeFolder, Trash"
    code += "; print(sorted(localagent.__all__) == localagent.__all__, set(localagent.__all__) <= set(dir(localagent)))"
    told = subprocess.check_output([sys.executable, "-I", "-c", code], text=True)
    assert told == "[] []\nTrue True\n"

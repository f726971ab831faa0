"""llama.cpp's own loop in C (`rawbench.c`): compiled against the libraries that the bindings load, and asked."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine_table import Timing

SOURCE = Path(__file__).with_name("rawbench.c")


class NoRaw(Exception):
    """The raw loop cannot be had here; the text says why."""


def compiled(folder: Path) -> Path:
    """The program, made in `folder`. Raises `NoRaw` without a compiler, the headers or the libraries."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise NoRaw("there is no C compiler")
    include, libraries = _headers(), _libraries()
    program = folder / "rawbench"
    found = [f"-I{include}", str(SOURCE), "-o", str(program), f"-L{libraries}", f"-Wl,-rpath,{libraries}", "-lllama"]
    made = subprocess.run([compiler, "-O2", *found], capture_output=True, text=True, check=False)
    if made.returncode:
        raise NoRaw(f"rawbench.c cannot be compiled: {' / '.join(made.stderr.strip().splitlines()[:3])}")
    return program


def _headers() -> Path:
    for file in importlib.metadata.files("llama-cpp-python") or ():
        if file.name == "llama.h" and (path := Path(str(file.locate()))).is_file():
            return path.resolve().parent
    raise NoRaw("llama-cpp-python was installed without llama.h; its source build brings it")


def _libraries() -> Path:
    found = importlib.util.find_spec("llama_cpp")
    places = [Path(place) / "lib" for place in (found.submodule_search_locations or ())] if found else []
    for place in places:
        if any(place.glob("libllama.*")):
            return place
    raise NoRaw("llama-cpp-python was installed without its shared libraries")


class Raw:
    """One process that holds the model and runs the loop when it is asked. Raises `NoRaw` where it cannot."""

    def __init__(self, program: Path, model: str, *, context: int, threads: int, repack: bool) -> None:
        argv = [str(program), model, str(context), str(threads), str(int(repack))]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self.load_s: float = self._answer()["load_s"]
        except NoRaw:
            self.close()
            raise

    def run(self, prompt: Sequence[int], new: int) -> Timing:
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, (new, *prompt))) + "\n")
        self._process.stdin.flush()
        told = self._answer()
        return Timing(
            len(prompt), **{key: value for key, value in told.items() if key != "ids"}, ids=tuple(told["ids"])
        )

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise NoRaw(f"the raw loop ended with {self._process.wait()}")
        told: dict[str, Any] = json.loads(line)
        if why := told.get("error"):
            raise NoRaw(str(why))
        return told

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

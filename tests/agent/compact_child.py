"""`python -m tests.agent.compact_child FOLDER TURNS`: goes on with the session there up to so many turns; to be killed at any time."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from localagent.agent import session as sessions
from localagent.events import TurnEnded
from localagent.store import transcript
from tests.agent.counting_engine import CountingEngine
from tests.agent.test_compaction import ask, reader, said, world


def main(folder: Path, turns: int) -> None:
    folder.mkdir(exist_ok=True)
    engine = CountingEngine(4096, reader)
    session = world(folder, engine)
    known = sorted(one.name for one in transcript.sessions_dir().iterdir()) if transcript.sessions_dir().is_dir() else []
    if known:
        session = sessions.start(session.setting, "auto", transcript.Transcript(known[0]), resumed=True)
    bad = []
    for n in range(len(session.talk.requests) + 1, turns + 1):
        last = ask(session, said(n))[-1]
        if not isinstance(last, TurnEnded) or last.status != "done":
            bad.append(n)
        print(n, flush=True)
    shown = [m.text for m in engine.asked[-1]] if engine.asked else []
    (folder / "end.json").write_text(json.dumps({"bad": bad, "most": max(engine.totals, default=0), "shown": shown}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

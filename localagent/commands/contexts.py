"""`localagent sessions context`: where the tokens of a stored session go."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict

from ..agent.accounting import Account, account
from ..agent.session import Session

_NAMES = {
    "system": "instructions", "tools": "tools", "offered": "tools offered", "words": "the user's words", "around": "folder and files named",
    "short": "shortened part", "answers": "the model's answers", "results": "tool results", "host": "notes of localagent",
    "images": "images", "form": "marks between messages",
}  # fmt: skip


def tell(session: Session, as_json: bool) -> int:
    """Print the account of what the model would be shown next. Raises what the engine raises."""

    async def counted() -> Account:
        try:
            return await account(session)
        finally:
            await session.setting.registry.aclose()
            await session.setting.engine.close()

    made = asyncio.run(counted())
    if as_json:
        told = {**asdict(made), "parts": {name: {"tokens": size, "seconds": round(made.seconds(size), 2)} for name, size in made.parts}}
        more = {"free": made.free, "seconds": round(made.seconds(made.total), 2)}
        print(json.dumps({"session": session.id, **told, **more}, ensure_ascii=False))
        return 0
    print(f"{session.id} with {made.model}: {made.total:,} of {made.context:,} tokens{'' if made.exact else ' (estimated)'}")
    for name, size in [*((_NAMES[name], size) for name, size in made.parts if size), ("free", made.free)]:
        cost = f"  {made.seconds(size):6.1f} s to read" if made.reading and name != "free" else ""
        print(f"  {name:24} {size:8,}  {size / made.context if made.context else 0:4.0%}{cost}")
    print(f"From {made.limit:,} tokens on it is shortened by itself.")
    return 0

"""What the person has said and the model has not heard yet: the lines above the prompt."""

from __future__ import annotations

from collections.abc import Sequence

from . import wording
from .words import t

_SHOWN = 3


def lines(meanwhile: Sequence[str], later: Sequence[str], width: int, pictures: Sequence[str] = ()) -> str:
    """`meanwhile` goes to the model at its next step, `later` are requests of their own, `pictures` go with the next; "" for nothing."""
    told = [f"{t('at the next step')}: {text}" for text in meanwhile] + [f"{t('next')}: {text}" for text in later]
    made = [wording.one_line(line, width) for line in told[:_SHOWN]]
    if len(told) > _SHOWN:
        made.append(t("… and {number} more", number=len(told) - _SHOWN))
    if made:
        hint = f"  ({t('Up takes it back')})"
        made[-1] += hint if len(made[-1]) + len(hint) <= width else ""
    seen = [wording.one_line(f"▣ {line}", width) for line in pictures[:_SHOWN]]
    if len(pictures) > _SHOWN:
        seen.append(t("… and {number} more", number=len(pictures) - _SHOWN))
    if seen:
        hint = f"  ({t('/image - takes them back')})"
        seen[-1] += hint if len(seen[-1]) + len(hint) <= width else ""
    return "\n".join([*made, *seen])

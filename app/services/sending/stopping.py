"""Telling threads to stop: all of a process, or one of them."""

import threading


class Stop(threading.Event):
    """Set for all threads of a process by `set`, and for a single one by `dismiss`."""

    def is_set(self) -> bool:
        """Tell whether the calling thread shall stop."""
        return super().is_set() or getattr(threading.current_thread(), "dismissed", False)


def dismiss(thread: threading.Thread) -> None:
    """Tell one thread to finish what is on the wire, and to start nothing more."""
    thread.dismissed = True  # type: ignore[attr-defined]  # a mark that nobody else wants to know of

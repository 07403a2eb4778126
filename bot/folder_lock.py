"""One writer at a time in a folder whose entries are renamed into place."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

#: Begins the name of whatever is not finished; what a killed process left is cleared away.
WORK = ".work-"
_LOCK = ".lock"
_LOCK_S = 30.0


@contextmanager
def changing(folder: Path, *, what: str, refused: type[Exception]) -> Iterator[None]:
    """Lets one writer of any process in at a time, and clears away what a killed one left.

    Args:
        folder: made when it is not there.
        what: what the folder holds, for messages, such as `the adapters`.
        refused: the error that is raised where the change cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / _LOCK, timeout=_LOCK_S, mode=0o600):
            for left in folder.glob(f"{WORK}*"):
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            yield
    except Timeout as error:
        raise refused(
            f"Another process is changing {what} in {folder}; try again later."
        ) from error
    except OSError as error:
        raise refused(
            f"Cannot change {what} in {folder}: {error.strerror or error}. "
            "Check the disk's space and the folder's rights; nothing has changed."
        ) from error

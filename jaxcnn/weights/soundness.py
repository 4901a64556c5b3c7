"""What is said of a file that is damaged, claims more than it has, or wants to run something."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxcnn.host.errors import InputError
from jaxcnn.weights.pickle_names import WantsToRunError

# What weights unpack to: real numbers hardly compress, pruned ones by this at the most. Zeros do by a thousand.
_TIMES_ITS_SIZE = 64
_SMALL = 1 << 26
# The errors of readers that have words for people; all others, of which libraries raise many, mean damage.
_IN_WORDS = (ValueError, RuntimeError, OSError, zlib.error, zipfile.BadZipFile, tarfile.TarError)


@contextmanager
def sound(file: Path, what: str) -> Iterator[None]:
    """Turn whatever a reader raises about a file, `what` it should be, into an InputError of one line."""
    try:
        yield
    except InputError:
        raise
    except WantsToRunError as error:
        raise InputError(
            f"{file} calls {str(error)[:100]}, which weights have no need of: nothing was run, and it is not read"
        ) from error
    except MemoryError as error:
        raise InputError(f"{file} needs more memory than there is") from error
    except PermissionError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from error
    except Exception as error:
        words = " ".join(str(error).split())[:200] if isinstance(error, _IN_WORDS) else ""
        why = words if words and not isinstance(error, RecursionError | UnicodeError) else "it is damaged"
        raise InputError(f"{file} is not a sound {what}: {why}") from error


def refuse_if_it_unpacks_without_end(name: str, unpacked: int, packed: int) -> None:
    """Raise ValueError where what is compressed claims to become far more than weights do."""
    if unpacked > max(_SMALL, _TIMES_ITS_SIZE * packed):
        raise ValueError(f"its {packed:,} bytes of {name} would become {unpacked:,}")


def refuse_claims_of(archive: zipfile.ZipFile, file: Path) -> None:
    """Raise ValueError where the parts of an archive claim to be longer than it, or to unpack without end.

    `zipfile` takes as much memory as a part claims to have packed, before it reads it.
    """
    parts, size = archive.infolist(), file.stat().st_size
    if sum(part.compress_size for part in parts) > size:
        raise ValueError("its parts are longer than the file")
    refuse_if_it_unpacks_without_end("parts", sum(part.file_size for part in parts), size)

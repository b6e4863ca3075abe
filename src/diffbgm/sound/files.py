"""Writing files whole or not at all, and sound as raw samples and as WAV.

Raw sound here is interleaved little-endian float32 at 48 kHz, without a header. It has no limit of size
and loses nothing; it lives only in the working folder. WAV is what a person gets: 24-bit PCM, which
every editor and player reads (RF64 beyond 4 GiB).
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.errors import OutputError

Block = NDArray[np.float32]
"""A stretch of sound: float32 (channels, samples), full scale 1."""

BLOCK_SAMPLES: Final = 48_000
_FULL_SCALE_24: Final = 2**23 - 1
_RIFF_LIMIT: Final = 2**32 - 1


def output_error(path: Path, error: OSError) -> OutputError:
    """The one line for a file that could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return OutputError(f"{path}: no room left to write it; free some space or choose another folder")
    if error.errno == errno.ENOENT:
        return OutputError(f"{path}: its folder does not exist; create it or choose another one")
    return OutputError(f"{path}: cannot be written ({error.strerror or error}); choose another folder")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to; it becomes `path` when the block ends well.

    On any failure the temporary file is removed and `path` is as it was. An OSError inside the block
    becomes an OutputError about `path`.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def read_raw(path: Path, channels: int = 2) -> Iterator[Block]:
    """The blocks of a raw float32 file, float32 (channels, up to BLOCK_SAMPLES)."""
    with path.open("rb") as file:
        while True:
            samples = np.fromfile(file, dtype="<f4", count=BLOCK_SAMPLES * channels)
            if not samples.size:
                return
            yield samples.reshape(-1, channels).T


def rechunk(pieces: Iterable[Block]) -> Iterator[Block]:
    """The same sound in blocks of BLOCK_SAMPLES, the last one shorter."""
    held: list[Block] = []
    n_held = 0
    for piece in pieces:
        held.append(piece)
        n_held += piece.shape[1]
        if n_held >= BLOCK_SAMPLES:
            joined = np.concatenate(held, axis=1)
            whole = n_held - n_held % BLOCK_SAMPLES
            for start in range(0, whole, BLOCK_SAMPLES):
                yield joined[:, start : start + BLOCK_SAMPLES]
            held, n_held = [joined[:, whole:]], n_held - whole
    if n_held:
        yield np.concatenate(held, axis=1)


def fitted(pieces: Iterable[Block], channels: int, n_samples: int) -> Iterator[Block]:
    """The same sound in blocks of BLOCK_SAMPLES, cut to or filled with silence up to `n_samples`."""
    silence = np.zeros((channels, BLOCK_SAMPLES), np.float32)
    left = n_samples
    for block in rechunk(chain(pieces, repeat(silence))):
        if left <= 0:
            return
        yield block[:, :left]
        left -= block.shape[1]


def interleave(block: Block) -> NDArray[np.float32]:
    """float32 (channels, samples) to little-endian float32 (samples * channels)."""
    return np.ascontiguousarray(block.T, dtype="<f4").ravel()


def write_raw(file: BinaryIO, block: Block) -> None:
    """Append a block to a raw file. OSError, with its number, if the disk refuses."""
    file.write(interleave(block).data)  # unlike ndarray.tofile, whose errors have no number


def pcm24(block: Block) -> bytes:
    """float32 (channels, samples) as interleaved 24-bit PCM; beyond full scale it is clipped."""
    scaled = np.clip(block.T.astype(np.float64) * _FULL_SCALE_24, -_FULL_SCALE_24 - 1, _FULL_SCALE_24)
    integers = np.ascontiguousarray(np.rint(scaled).astype("<i4"))
    return integers.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


def wav_header(n_samples: int, channels: int = 2, sample_rate: int = 48_000) -> bytes:
    """Header of a 24-bit PCM WAV; RF64 (EBU Tech 3306) where 32-bit sizes do not suffice."""
    frame = 3 * channels
    n_bytes = n_samples * frame
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, sample_rate, sample_rate * frame, frame, 24)
    if n_bytes + 36 < _RIFF_LIMIT:
        return (
            struct.pack("<4sI4s", b"RIFF", 36 + n_bytes, b"WAVE")
            + fmt
            + struct.pack("<4sI", b"data", n_bytes)
        )
    ds64 = struct.pack("<4sIQQQI", b"ds64", 28, 72 + n_bytes, n_bytes, n_samples, 0)
    head = struct.pack("<4sI4s", b"RF64", _RIFF_LIMIT, b"WAVE")
    return head + ds64 + fmt + struct.pack("<4sI", b"data", _RIFF_LIMIT)


def write_wav(path: Path, blocks: Iterable[Block], n_samples: int, channels: int = 2) -> None:
    """Write `blocks`, `n_samples` in all, as a 24-bit 48 kHz WAV. Raises OutputError."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(wav_header(n_samples, channels))
        for block in blocks:
            file.write(pcm24(block))

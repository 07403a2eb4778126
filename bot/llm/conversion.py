"""Turns a GGUF file into a safetensors folder, as a program of its own.

Runs in a child process (`bot.llm.weights` starts it), so that the memory the conversion needs is
given back to the system and a crash in it cannot take the server along. It ends by itself when
its parent is gone, which it sees as the end of its standard input.
"""

import os
import sys
import threading
from pathlib import Path

EXIT_DISK_FULL = 28
EXIT_FAILED = 1


def convert(gguf_file: Path, folder: Path) -> None:
    """Writes weights, config and tokenizer of `gguf_file` into `folder` as bfloat16."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    source = {"gguf_file": gguf_file.name}
    model = AutoModelForCausalLM.from_pretrained(
        gguf_file.parent,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
        **source,
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(gguf_file.parent, **source).save_pretrained(folder)


def is_disk_full(error: Exception) -> bool:
    """Whether an error, also one that crossed from Rust, means that the disk or quota is used up.

    Source: errno 28 ENOSPC, 27 EFBIG, 122 EDQUOT.
    """
    if isinstance(error, OSError) and error.errno in (27, 28, 122):
        return True
    return any(f"os error {number})" in str(error) for number in (27, 28, 122))


def _end_with_parent() -> None:
    while os.read(0, 1024):  # not sys.stdin: its lock would be held while the interpreter ends
        pass
    os._exit(EXIT_FAILED)


def main() -> int:
    """Converts `argv[1]` into `argv[2]`; the exit code tells a full disk from other failures."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        convert(Path(sys.argv[1]), Path(sys.argv[2]))
    except Exception as error:
        if is_disk_full(error):
            sys.stderr.write(f"{error}\n")
            return EXIT_DISK_FULL
        raise
    return 0

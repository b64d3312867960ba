"""Embeddings, scores, ranks, tokens: shapes that clients expect, deterministic numbers."""

import math

import httpx
import pytest

from tests.engines import EngineThread


def test_embeddings_are_unit_vectors(engine: EngineThread) -> None:
    import openai

    with openai.OpenAI(base_url=f"{engine.url}/v1", api_key="none") as sdk:
        answer = sdk.embeddings.create(model="m", input=["one", "two", "one"], encoding_format="float")
    first, second, third = (row.embedding for row in answer.data)
    assert math.isclose(sum(value * value for value in first), 1.0)
    assert first == third != second
    assert answer.usage.prompt_tokens == 3


def test_scores_are_one_per_document(client: httpx.Client) -> None:
    answer = client.post("/score", json={"model": "m", "text_1": "query", "text_2": ["a", "b"]}).json()
    assert [row["index"] for row in answer["data"]] == [0, 1]
    assert all(0 <= row["score"] <= 1 for row in answer["data"])


def test_ranks_are_best_first_and_cut(client: httpx.Client) -> None:
    body = {"model": "m", "query": "q", "documents": ["a", "b", "c", "d"]}
    results = client.post("/rerank", json=body).json()["results"]
    scores = [row["relevance_score"] for row in results]
    assert scores == sorted(scores, reverse=True)
    assert {row["index"] for row in results} == {0, 1, 2, 3}
    assert client.post("/rerank", json={**body, "top_n": 2}).json()["results"] == results[:2]


def test_tokenize_and_detokenize_are_inverse(client: httpx.Client) -> None:
    tokens = client.post("/tokenize", json={"prompt": "some text here"}).json()
    assert (tokens["count"], tokens["max_model_len"]) == (4, 131_072)
    assert client.post("/detokenize", json={"tokens": tokens["tokens"]}).json() == {"prompt": "some text here"}
    chat = {"messages": [{"role": "user", "content": "hello"}]}
    assert client.post("/tokenize", json=chat).json()["count"] > 2


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"input": None}),
        ("/v1/embeddings", {"input": "x" * 2_000_000}),
        ("/score", {"text_1": "a"}),
        ("/rerank", {"query": "a", "documents": []}),
        ("/rerank", {"query": "a", "documents": ["a"], "top_n": "x"}),
        ("/tokenize", {"prompt": 3}),
        ("/detokenize", {"tokens": ["a"]}),
    ],
)
def test_bad_input_is_refused(client: httpx.Client, path: str, body: dict[str, object]) -> None:
    assert client.post(path, json=body).status_code == 400


def test_unknown_models_are_not_found(client: httpx.Client) -> None:
    assert client.post("/v1/embeddings", json={"model": "other", "input": "x"}).status_code == 404

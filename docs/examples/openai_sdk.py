"""A conversation through the router with OpenAI's SDK: the second turn finds the first one cached.

pip install openai
OPENAI_BASE_URL=http://router:8080/v1 OPENAI_API_KEY=... MODEL=... python openai_sdk.py
"""

import os

from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

client = OpenAI()  # reads OPENAI_BASE_URL and OPENAI_API_KEY
model = os.environ["MODEL"]
messages: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "You answer in one sentence. " * 40},
    {"role": "user", "content": "What is a prefix cache?"},
]
for question in ("Who fills it?", ""):
    answer = client.chat.completions.create(model=model, messages=messages, max_tokens=64)
    usage = answer.usage
    assert usage is not None
    details = usage.prompt_tokens_details
    print(f"{usage.prompt_tokens} tokens, {(details and details.cached_tokens) or 0} of them cached")
    messages.append({"role": "assistant", "content": answer.choices[0].message.content or ""})
    messages.append({"role": "user", "content": question})

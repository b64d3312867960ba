"""A conversation through the router with Anthropic's SDK, as Claude Code has them.

pip install anthropic
ANTHROPIC_BASE_URL=http://router:8080 ANTHROPIC_API_KEY=... MODEL=... python anthropic_sdk.py
"""

import os

from anthropic import Anthropic
from anthropic.types import MessageParam

client = Anthropic()  # reads ANTHROPIC_BASE_URL, without /v1, and ANTHROPIC_API_KEY
messages: list[MessageParam] = [{"role": "user", "content": "What is a prefix cache?"}]
for question in ("Who fills it?", ""):
    answer = client.messages.create(
        model=os.environ["MODEL"], system="You answer in one sentence. " * 40, messages=messages, max_tokens=64
    )
    cached = answer.usage.cache_read_input_tokens or 0
    print(f"{answer.usage.input_tokens + cached} tokens, {cached} of them cached")
    messages.append({"role": "assistant", "content": answer.content})
    messages.append({"role": "user", "content": question})

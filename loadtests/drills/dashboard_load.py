"""Load that moves every metric: growing conversations, and now and then everything that can go wrong.

Nothing is measured of it; it only has to make each counter count.
"""

import asyncio
import random
from typing import Any

import httpx

from loadtests.drills.dashboard_site import UNKNOWN, Lab
from loadtests.harness.processes import MODEL

CONVERSATIONS = 12
PAUSE_S = 0.05
TROUBLE_S = 4.0
TEXT = "the prefix of a prompt is held by one worker and every other worker would compute it again"
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)


async def converse(client: httpx.AsyncClient, lab: Lab, seed: int) -> None:
    """Conversations that grow turn by turn and then begin anew, each turn through any of the routers, for ever."""
    rng = random.Random(seed)
    while True:
        messages = [{"role": "system", "content": _text(rng, 300)}]
        for _ in range(12):
            messages.append({"role": "user", "content": _text(rng, 120)})
            await _ask(client, rng.choice(lab.routers).url, {"messages": messages, **_rest(rng)})
            messages.append({"role": "assistant", "content": _text(rng, 40)})
            await asyncio.sleep(PAUSE_S)


async def trouble(client: httpx.AsyncClient, lab: Lab) -> None:
    """One thing after another that an operator will meet, for ever."""
    victim, url = lab.engines[0], lab.routers[0].url
    image = [{"type": "image_url", "image_url": {"url": PIXEL}}]
    while True:
        await victim.fault("status_503", count=3)
        await _ask(client, url, {"messages": [{"role": "user", "content": image}]})
        await _ask(client, url, {"messages": "not a list"})
        await _ask(client, url, {"model": UNKNOWN, "messages": [{"role": "user", "content": TEXT * 20}]})
        await lab.engines[-1].fault("status_500", count=2)  # the only worker of its model: no other is tried
        await _ask(client, url, {"model": UNKNOWN, "messages": [{"role": "user", "content": TEXT}]})
        await client.post(f"{url}/v1/chat/completions", content=b"not JSON")
        for _ in range(2):
            await _ask(client, url, {"messages": []}, authorization=f"Bearer {lab.limited_key}")
        await asyncio.sleep(TROUBLE_S)
        await victim.fault("status_500", count=3)
        for action in ("drain", "undrain"):
            await client.post(f"{url}/admin/workers/{victim.worker}/{action}", headers={"x-warmroute-admin-key": "x"})
            await asyncio.sleep(TROUBLE_S / 2)
        await victim.call("POST", "/emulator/restart")
        await asyncio.sleep(TROUBLE_S)


async def _ask(client: httpx.AsyncClient, url: str, body: dict[str, Any], **headers: str) -> None:
    whole = {"model": MODEL, "max_tokens": 8, **body}
    try:
        await client.post(f"{url}/v1/chat/completions", json=whole, headers=headers)
    except httpx.TransportError:
        return  # a worker's restart cuts answers: that is what is wanted here


def _rest(rng: random.Random) -> dict[str, Any]:
    return {"stream": True, "stream_options": {"include_usage": True}} if rng.random() < 0.8 else {}


def _text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(TEXT.split(), k=words))

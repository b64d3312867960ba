"""Calibrated engines: how fast a model on given hardware prefills and decodes, and how much KV memory it has.

The numbers are published measurements where there are any, else estimates from the hardware; each profile says which.
They are never tuned to reproduce a published end result.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """One engine. A step takes `step_s + new/prefill_rate + pair_s*pairs`, where `pairs` is n*c + n*n/2 for n new
    tokens on c computed ones, and on top, if anything decodes, `decode_s + kv_token_s*(their KV tokens)`."""

    name: str
    prefill_rate: float
    """Uncached prompt tokens per second at short contexts."""
    decode_s: float
    """Reading the weights once, for a step that decodes."""
    kv_token_s: float
    """Reading the KV of one token, per decode step."""
    kv_tokens: int
    """Capacity of the KV pool."""
    max_model_len: int
    step_s: float = 0.002
    """Fixed cost of a step: scheduling and launching."""
    pair_s: float = 0.0
    """Attention of one new token to one earlier token; matters for contexts above about 16K tokens."""
    block_tokens: int = 16
    step_tokens: int = 8192
    """Token budget of a step (`max_num_batched_tokens`): longer prefills are cut into chunks."""
    max_running: int = 256
    """Sequences in one batch (`max_num_seqs`)."""
    tier_tokens: int = 0
    """Capacity of a second tier in host memory, or of the shared one; 0 for none."""
    tier_rate: float = 150_000.0
    """Tokens per second that are read from it: 40 GB/s (PCIe 5, or 400 Gb/s of RDMA) at 262 KB a token."""
    tier_start_s: float = 0.002
    """Fixed cost of a read."""
    caches: bool = True
    """False: no prompt finds what another has left."""
    gpus: int = 1
    """How many one engine takes."""

    @property
    def blocks(self) -> int:
        return self.kv_tokens // self.block_tokens


PROFILES = {
    profile.name: profile
    for profile in (
        # Small and fast, for demos and tests; resembles no hardware.
        Profile("demo", 50_000, 0.004, 0.0, 262_144, 131_072, step_s=0.001),
        # One A100-40GB. KV capacity measured in Ranvier's audited runs (October 2026); rate and decode fitted to their
        # rows by a small event simulation. Attention at up to 8K tokens is within the rate.
        Profile("codellama-13b-a100", 6_600, 0.0185, 0.53e-6, 11_648, 8_192, step_tokens=2048),
        # One A100-40GB. Same sources; decode from the published 75 tokens/s of a single stream. Attention estimated:
        # 0.52 MFLOP a pair (32 layers, 32 heads of 128) at FlashAttention-2's published 200 TFLOPS.
        Profile("llama-3.1-8b-a100", 11_500, 0.0108, 0.09e-6, 142_144, 131_072, step_tokens=2048, pair_s=2.6e-9),
        # Two H100, TP2. Rate and KV bytes published by llm-d (8,192 tokens in 0.40 s; its recipe says 15,928/s).
        # Decode estimated from 64 GB of weights and 262 KB of KV a token at 60 % of 6.7 TB/s; attention from 2.1 MFLOP
        # a pair (64 layers, 64 heads of 128) at FlashAttention-3's published 650 TFLOPS per GPU: with it 8,192 tokens
        # take 0.45 s, between the two. KV capacity: the middle of llm-d's 200,000 to 300,000.
        Profile("qwen3-32b-2xh100", 20_480, 0.0127, 0.065e-6, 250_048, 131_072, block_tokens=64, pair_s=1.6e-9, gpus=2),
        # Eight H20. Rate, attention and decode estimated from the GPU's peak rates and published MFU; KV capacity from
        # 253,952 bytes a token in BF16 (checked against vLLM's own figure) in what the weights leave of 8 x 96 GB.
        Profile("minimax-m2.5-8xh20", 45_000, 0.012, 0.013e-6, 1_700_000, 196_608, pair_s=2.6e-9, gpus=8),
        # One TP4 prefill instance of GB200. Rate derived from the vLLM and Mooncake post of May 2026 (fig. 4), at
        # 68,700 tokens a prompt, attention included; decode and capacity estimated (40 ms a token at 75 sessions).
        Profile("kimi-k2.5-gb200", 23_700, 0.020, 0.007e-6, 499_968, 262_144, block_tokens=64, gpus=4),
    )
}

"""Frames followed by their lengths, however the bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.tunnel import Frames


def frame(size: int, opcode: int = 2, masked: bool = False) -> bytes:
    mask = 0x80 if masked else 0
    if size < 126:
        head = bytes([0x80 | opcode, mask | size])
    elif size < 65536:
        head = bytes([0x80 | opcode, mask | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([0x80 | opcode, mask | 127]) + size.to_bytes(8, "big")
    return head + b"mask" * masked + b"\x88" * size


@given(st.lists(st.tuples(st.sampled_from([0, 1, 125, 126, 300, 65535, 65536]), st.booleans())), st.integers(1, 70_000))
def test_frames_are_whole_at_their_ends_and_nowhere_else(sizes: list[tuple[int, bool]], step: int) -> None:
    frames, ends, data = Frames(), {0}, b""
    for size, masked in sizes:
        data += frame(size, masked=masked)
        ends.add(len(data))
    for start in range(0, len(data), step):
        frames.follow(data[start : start + step])
        assert frames.whole == (min(start + step, len(data)) in ends)
    assert frames.whole
    assert not frames.closed


@pytest.mark.parametrize("opcode", [1, 2, 8, 9])
def test_only_a_close_frame_closes(opcode: int) -> None:
    frames = Frames()
    frames.follow(frame(2, opcode))
    assert frames.closed == (opcode == 8)

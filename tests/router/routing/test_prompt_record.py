"""Whatever the order of events, each PENDING is taken back exactly once, and only computed blocks are confirmed."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from router.prefix.index import Record, State
from router.routing.prompt_record import PromptRecord
from tokenizer_cache.prompt import Prompt


class Notebook:
    """An index that only remembers what it was told."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    async def match(self, chain: bytes, also: object = ()) -> dict[str, object]:
        return {}

    def record(self, record: Record) -> None:
        self.records.append(record)

    def set_capacity(self, holder: str, blocks: int) -> None:
        raise NotImplementedError

    def remove_worker(self, holder: str) -> None:
        raise NotImplementedError

    def pendings(self) -> Counter[bytes]:
        """PENDING records that nobody took back; never below zero."""
        open_now: Counter[bytes] = Counter()
        for record in self.records:
            if record.state is State.PENDING:
                open_now[record.chain] += 1
            taken = record.chain if record.state is State.DROPPED else record.pended
            if taken and record.state is not State.PENDING:
                open_now[taken] -= 1
                assert open_now[taken] >= 0
        return +open_now

    def of(self, state: State) -> list[bytes]:
        return [record.chain for record in self.records if record.state is state]


GUESS = Prompt(
    chain=b"k" * 8 + b"guess___", known_blocks=1, tokens=150, block_tokens=64, exact=False, source="estimate"
)
EXACT = Prompt(chain=b"k" * 8 + b"exact___", known_blocks=2, tokens=140, block_tokens=64, exact=True, source="encoded")
SHORT = Prompt(chain=b"", known_blocks=0, tokens=9, block_tokens=64, exact=True, source="encoded")


def prompt_record(prompt: Prompt = GUESS) -> tuple[Notebook, PromptRecord]:
    notebook = Notebook()
    return notebook, PromptRecord(notebook, "w", prompt, 64)  # type: ignore[arg-type]


@given(st.permutations(["encoded", "computed", "failed", "finished"]), st.integers(0, 4), st.booleans())
def test_pendings_balance_and_failures_confirm_nothing_new(events: list[str], cut: int, sent: bool) -> None:
    notebook, subject = prompt_record()
    if sent:
        subject.dispatched()
    for event in events[:cut]:
        match event:
            case "encoded":
                subject.encoded(EXACT)
            case "finished":
                subject.finished(500)
            case _:
                getattr(subject, event)()
    subject.failed()
    subject.encoded(EXACT)
    assert not notebook.pendings()
    if "computed" not in events[:cut] or events.index("failed") < events.index("computed") < cut:
        assert not notebook.of(State.CONFIRMED)


def test_tokens_before_the_first_byte() -> None:
    notebook, subject = prompt_record()
    subject.dispatched()
    subject.encoded(EXACT)
    assert notebook.pendings() == {EXACT.chain: 1}
    subject.computed()
    assert notebook.of(State.CONFIRMED) == [EXACT.chain]
    assert not notebook.pendings()


def test_tokens_after_the_first_byte() -> None:
    notebook, subject = prompt_record()
    subject.dispatched()
    subject.computed()
    assert not notebook.of(State.CONFIRMED), "an estimate must never be confirmed"
    subject.encoded(EXACT)
    assert notebook.of(State.CONFIRMED) == [EXACT.chain]
    assert not notebook.pendings()


def test_generated_blocks_are_told_at_the_end() -> None:
    notebook, subject = prompt_record(EXACT)
    subject.dispatched()
    subject.computed()
    subject.finished(640)
    assert notebook.records[-1] == Record("w", EXACT.chain, State.CONFIRMED, generated_blocks=10)
    subject.finished(10)
    assert notebook.records[-1].generated_blocks == 10, "less than a block is nothing"


def test_a_failure_after_an_estimated_prefill_takes_the_claim_back() -> None:
    notebook, subject = prompt_record(EXACT)
    subject.dispatched()
    subject.computed()
    subject.failed()
    assert notebook.records[-1] == Record("w", EXACT.chain[:8], State.CORRECTED, tail=EXACT.chain)


def test_a_prompt_that_cannot_be_encoded_claims_nothing() -> None:
    notebook, subject = prompt_record()
    subject.dispatched()
    subject.unknown()
    subject.computed()
    subject.finished(1000)
    assert not notebook.pendings()
    assert not notebook.of(State.CONFIRMED)


def test_a_prompt_shorter_than_a_block_leaves_no_record() -> None:
    notebook, subject = prompt_record(SHORT)
    subject.dispatched()
    subject.computed()
    subject.finished(3)
    assert not notebook.records

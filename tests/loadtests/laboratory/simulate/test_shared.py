"""Several routers' sessions under a virtual clock: told a moment later, and room is given once."""

from collections.abc import Callable

from loadtests.laboratory.simulate.shared import SharedSessions, ToldBatch
from tests.router.fleets import MODEL
from tests.router.sessions.chains import prompt_of
from tests.router.sessions.pair import Routers


def test_what_one_tells_the_others_hear_later_and_room_is_given_once() -> None:
    routers = Routers(2).all
    later: list[Callable[[], None]] = []
    stream: list[ToldBatch] = []
    ends = [SharedSessions(n, each.book, stream, later.append, lambda: 0.0) for n, each in enumerate(routers)]
    for end in ends:
        end.others = [other for other in ends if other is not end]

    def wait() -> None:
        while later:
            later.pop(0)()

    one, two = routers
    for name in "ab":
        one.run(name)
    assert two.admission.sets == {}
    wait()
    assert len(two.admission.sets[two.workers[0].holder].sessions) == 2
    turns = [
        each.admission.arrive(MODEL, {"f": prompt_of((name, 30_000))}) for each, name in zip(routers, "cd", strict=True)
    ]
    goes = []
    for each, turn in zip(routers, turns, strict=True):
        coroutine = each.book.reserve(turn, each.workers[0])
        try:
            coroutine.send(None)
        except StopIteration as done:
            goes.append(done.value)
        if goes[-1] and turn is not None:
            turn.begin(each.workers[0])
    assert goes == [True, False]
    for end in ends:
        end.beat()
    wait()
    assert len(two.admission.sets[two.workers[0].holder].sessions) == 3

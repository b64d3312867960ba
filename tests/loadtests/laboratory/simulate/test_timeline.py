"""The virtual clock."""

from loadtests.laboratory.simulate.timeline import Timeline


def test_things_happen_in_order_of_time_and_equal_times_in_order_of_asking() -> None:
    timeline, seen = Timeline(), list[tuple[str, float]]()

    def see(name: str) -> None:
        seen.append((name, timeline.now))
        if name == "a":
            timeline.at(0.5, see, "late")  # past: happens now

    for when, name in ((2.0, "c"), (1.0, "a"), (1.0, "b"), (9.0, "never")):
        timeline.at(when, see, name)
    timeline.run(5.0)
    assert seen == [("a", 1.0), ("b", 1.0), ("late", 1.0), ("c", 2.0)]
    assert timeline.clock() == 5.0


def test_step_says_when_nothing_is_left() -> None:
    timeline = Timeline()
    timeline.at(1.0, lambda: None)
    assert [timeline.step(), timeline.step()] == [True, False]

"""Only many predictions of which nearly nothing comes are an alarm."""

from router.fleet.hit_record import JUDGED, HitRecord


def record_of(*cached: int, predicted: int = 5000) -> HitRecord:
    record = HitRecord()
    for tokens in cached:
        record.reported(predicted, tokens)
    return record


def test_none_come() -> None:
    assert record_of(*[0] * JUDGED).none_come
    assert record_of(*[200] * JUDGED).none_come


def test_few_small_or_partly_right_predictions_are_no_alarm() -> None:
    assert not record_of(*[0] * (JUDGED - 1)).none_come
    assert not record_of(*[1000] * JUDGED).none_come
    assert not record_of(*[0] * JUDGED, predicted=500).none_come
    assert not record_of(*[0] * JUDGED, 5000, 5000, 5000).none_come


def test_it_ends_when_the_cache_is_forgotten() -> None:
    record = record_of(*[0] * JUDGED)
    record.clear()
    assert not record.none_come

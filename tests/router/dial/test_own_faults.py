"""Which failures of a connection are the router's own. A whole router without files: `http/test_own_faults`."""

import errno

import pytest

from router.dial.own_faults import OWN_ERRORS, causes, is_own_fault

FULL = OSError(errno.EMFILE, "no file left")
REFUSED = OSError(errno.ECONNREFUSED, "refused")


def raised_from(error: BaseException, *, explicitly: bool) -> BaseException:
    try:
        try:
            raise error
        except BaseException as cause:
            if explicitly:
                raise ValueError("outer") from cause
            raise ValueError("outer")  # noqa: B904 - the context alone tells
    except ValueError as outer:
        return outer


@pytest.mark.parametrize("number", sorted(OWN_ERRORS))
def test_a_lack_of_resources_is(number: int) -> None:
    assert is_own_fault(OSError(number, "lack"))


def test_what_the_worker_did_is_not() -> None:
    assert not is_own_fault(REFUSED)
    assert not is_own_fault(TimeoutError())
    assert not is_own_fault(ValueError(errno.EMFILE))


@pytest.mark.parametrize("explicitly", [True, False])
def test_the_cause_of_an_error_counts(explicitly: bool) -> None:
    assert is_own_fault(raised_from(FULL, explicitly=explicitly))
    assert not is_own_fault(raised_from(REFUSED, explicitly=explicitly))


def test_one_address_of_several_counts() -> None:
    assert is_own_fault(BaseExceptionGroup("all addresses", [REFUSED, raised_from(FULL, explicitly=True)]))
    assert not is_own_fault(ExceptionGroup("all addresses", [REFUSED]))


def test_errors_that_cause_each_other_end() -> None:
    one, two = ValueError(1), ValueError(2)
    one.__cause__, two.__cause__ = two, one
    assert list(causes(one)) == [one, two]

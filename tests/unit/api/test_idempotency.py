"""The same call made twice acts once; another call under its token is refused."""

import random

import pytest

from homeport.api.idempotency import TOKEN_LIFETIME, remember, remembered, shorten
from homeport.base.ids import Ids
from homeport.shapes import ecs as shapes
from homeport.store.journal import MemoryJournal
from homeport.store.store import Store

ASKED = shapes.RunTaskRequest(task_definition="web:1", count=2)
OTHER = shapes.RunTaskRequest(task_definition="web:1", count=3)


class Hand:
    """A clock whose hand a test moves."""

    time = 1000.0

    def now(self) -> float:
        return self.time


@pytest.fixture
def hand():
    return Hand()


@pytest.fixture
def do(hand):
    store = Store(MemoryJournal(), hand, Ids(random.Random(0)))
    return lambda change: store.update(change)[0]


def test_call_when_repeated_then_the_first_answer(do):
    assert do(lambda tx: remembered(tx, "RunTask", "c", "t", ASKED)) is None
    do(lambda tx: remember(tx, "RunTask", "c", "t", ASKED, ("arn",)))
    assert do(lambda tx: remembered(tx, "RunTask", "c", "t", ASKED)) == ("arn",)


def test_call_when_other_cluster_operation_or_token_then_new(do):
    do(lambda tx: remember(tx, "RunTask", "c", "t", ASKED, ("arn",)))
    assert do(lambda tx: remembered(tx, "RunTask", "d", "t", ASKED)) is None
    assert do(lambda tx: remembered(tx, "StartTask", "c", "t", ASKED)) is None
    assert do(lambda tx: remembered(tx, "RunTask", "c", "u", ASKED)) is None


def test_call_when_parameters_differ_then_conflict_naming_the_first_answer(do):
    do(lambda tx: remember(tx, "RunTask", "c", "t", ASKED, ("arn",)))
    with pytest.raises(shapes.ConflictException) as caught:
        do(lambda tx: remembered(tx, "RunTask", "c", "t", OTHER))
    assert caught.value.members == {"resourceIds": ["arn"]}


def test_call_when_the_operation_declares_no_conflict_then_client_exception(do):
    do(lambda tx: remember(tx, "RegisterContainerInstance", "c", "t", ASKED, ("arn",)))
    with pytest.raises(shapes.ClientException):
        do(lambda tx: remembered(tx, "RegisterContainerInstance", "c", "t", OTHER))


def test_token_when_a_day_old_then_forgotten(do, hand):
    do(lambda tx: remember(tx, "RunTask", "c", "t", ASKED, ("arn",)))
    hand.time += TOKEN_LIFETIME - 1
    assert do(lambda tx: remembered(tx, "RunTask", "c", "t", ASKED)) == ("arn",)
    hand.time += 1
    assert do(lambda tx: remembered(tx, "RunTask", "c", "t", OTHER)) is None


def test_token_when_shortened_then_it_ends_earlier_and_never_later(do, hand):
    do(lambda tx: remember(tx, "RunTask", "c", "t", ASKED, ("arn",)))
    do(lambda tx: shorten(tx, "RunTask", "c", "t", hand.time + 10))
    do(lambda tx: shorten(tx, "RunTask", "c", "t", hand.time + 99))
    do(lambda tx: shorten(tx, "RunTask", "c", None, hand.time))
    hand.time += 10
    assert do(lambda tx: remembered(tx, "RunTask", "c", "t", ASKED)) is None


def test_call_when_without_token_then_never_remembered(do):
    do(lambda tx: remember(tx, "RunTask", "c", None, ASKED, ("arn",)))
    assert do(lambda tx: remembered(tx, "RunTask", "c", None, ASKED)) is None

"""The work queue by cases, and by random histories that must never hand out one key twice."""

from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.control.queue import FORGET, Wake, WorkQueue


def drain(queue, now=0.0):
    taken = []
    while (key := queue.take(now)) is not None:
        taken.append(key)
        queue.done(key, FORGET, now)
    return taken


def test_add_when_repeated_then_taken_once_in_order_of_arrival():
    queue = WorkQueue()
    for key in "abab":
        queue.add(key)
    assert drain(queue) == ["a", "b"]


def test_add_when_processing_then_taken_again_afterwards_but_not_before():
    queue = WorkQueue()
    queue.add("a")
    assert queue.take(0) == "a"
    queue.add("a")
    assert queue.take(0) is None
    queue.done("a", FORGET, 0)
    assert drain(queue) == ["a"]


def test_done_when_a_time_is_given_then_not_before_it():
    queue = WorkQueue()
    queue.add("a")
    queue.take(0)
    queue.done("a", Wake(at=10), 0)
    assert (queue.take(9.9), queue.next_at()) == (None, 10)
    assert queue.take(10) == "a"
    assert queue.next_at() is None


def test_done_when_the_key_is_due_already_then_others_have_their_turn_first():
    queue = WorkQueue()
    queue.add("a")
    queue.take(10)
    queue.done("a", Wake(at=9), 10)
    assert queue.take(10) is None
    assert queue.take(10.05) == "a"


def test_add_at_when_later_than_known_then_ignored_and_when_sooner_then_moved():
    queue = WorkQueue()
    queue.add_at("a", 10)
    queue.add_at("a", 20)
    assert queue.next_at() == 10
    queue.add_at("a", 5)
    assert queue.take(5) == "a"
    queue.done("a", FORGET, 5)
    assert queue.take(100) is None


def test_add_when_delayed_then_ready_at_once_and_the_delay_is_forgotten():
    queue = WorkQueue()
    queue.add_at("a", 10)
    queue.add("a")
    assert drain(queue) == ["a"]
    assert queue.next_at() is None


def test_failed_when_repeated_then_pauses_double_up_to_30_seconds_and_success_resets_them():
    queue = WorkQueue()
    queue.add("a")
    now, pauses = 0.0, []
    for _ in range(12):
        assert queue.take(now) == "a"
        queue.failed("a", now)
        pauses.append(queue.next_at() - now)
        now = queue.next_at()
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.8] or [round(pause, 6) for pause in pauses[:4]] == [0.1, 0.2, 0.4, 0.8]
    assert round(pauses[-1], 6) == 30
    queue.take(now)
    queue.done("a", FORGET, now)
    queue.add("a")
    queue.take(now)
    queue.failed("a", now)
    assert round(queue.next_at() - now, 6) == 0.1


def test_failed_when_changed_meanwhile_then_taken_again_at_once():
    queue = WorkQueue()
    queue.add("a")
    queue.take(0)
    queue.add("a")
    queue.failed("a", 0)
    assert queue.take(0) == "a"


def test_done_when_backoff_and_a_time_then_the_sooner_counts():
    queue = WorkQueue()
    queue.add("a")
    queue.take(0)
    queue.done("a", Wake(at=0.05, backoff=True), 0)
    assert queue.next_at() == 0.05


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "at", "take", "done", "fail"]), st.sampled_from("abc"), st.integers(0, 5)),
        max_size=60,
    )
)
def test_history_when_random_then_one_taker_per_key_and_nothing_added_is_lost(history):
    queue, now, processing, owed = WorkQueue(), 0.0, set(), set()
    for verb, key, number in history:
        now += number / 10
        if verb == "add":
            queue.add(key)
            owed.add(key)
        elif verb == "at":
            queue.add_at(key, now + number)
        elif verb == "take":
            taken = queue.take(now)
            assert taken not in processing
            if taken is not None:
                processing.add(taken)
                owed.discard(taken)
        elif key in processing:
            processing.discard(key)
            if verb == "done":
                queue.done(key, FORGET, now)
            else:
                queue.failed(key, now)
    for key in processing:
        queue.done(key, FORGET, now)
    assert owed <= set(drain(queue, now + 1000))

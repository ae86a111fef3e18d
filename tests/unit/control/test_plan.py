"""What a connection is sent, as a pure function; and what it may never be sent, over random histories."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from homeport.control.messages import in_batches
from homeport.control.plan import RESEND_AFTER, Conversation, Plan, Sent, plan
from homeport.model.status import DesiredStatus, TaskStatus
from homeport.shapes import acs
from tests.control_plane import a_task

NONE = frozenset()
RUNNING, STOPPED = DesiredStatus.RUNNING, DesiredStatus.STOPPED
LISTED = Sent(None, "manifest", 0.0, is_acknowledged=True)


def talked(**sent):
    return Conversation("s", tasks={a_task().arn: Sent(**sent)} if sent else {}, manifest=LISTED)


def test_plan_when_connection_is_new_then_manifest():
    assert plan([], Conversation("s"), NONE, 0) == Plan(manifest=True, at=RESEND_AFTER)


def test_plan_when_the_manifest_is_not_acknowledged_then_again_until_it_is():
    told = Conversation("s", manifest=Sent(None, "m", 10.0))
    assert plan([], told, NONE, 39) == Plan(at=40)
    assert plan([], told, NONE, 40) == Plan(manifest=True, at=70)
    told.acknowledge("m")
    assert plan([], told, NONE, 40) == Plan()


def test_plan_when_task_is_pending_and_unsent_then_run():
    assert plan([a_task()], talked(), NONE, 7) == Plan(run=(a_task(),), at=7 + RESEND_AFTER)


def test_plan_when_task_runs_already_then_nothing():
    assert plan([a_task(last_status=TaskStatus.RUNNING)], talked(), NONE, 0).is_empty


def test_plan_when_sent_and_acknowledged_then_nothing_ever():
    told = talked(desired=RUNNING, message_id="m", at=0, is_acknowledged=True)
    assert plan([a_task()], told, NONE, 1e6) == Plan()


def test_plan_when_sent_but_unanswered_then_waits_and_then_again():
    told = talked(desired=RUNNING, message_id="m", at=10)
    assert plan([a_task()], told, NONE, 11) == Plan(at=40)
    assert plan([a_task()], told, NONE, 40) == Plan(again=(a_task(),), at=70)


def test_plan_when_run_was_sent_and_stop_is_wanted_then_stop():
    told = talked(desired=RUNNING, message_id="m", at=0, is_acknowledged=True)
    stopping = replace(a_task(), desired_status=STOPPED)
    assert plan([stopping], told, NONE, 0).stop == (stopping,)


def test_plan_when_task_has_a_role_then_renewed_when_due_unless_its_payload_goes():
    arn = a_task().arn
    running = a_task(last_status=TaskStatus.RUNNING)
    assert plan([a_task()], talked(), frozenset({arn}), 0).renew == ()
    assert plan([running], talked(), frozenset({arn}), 0).renew == (running,)
    told = talked()
    told.refresh_at[arn] = 50
    assert plan([running], told, frozenset({arn}), 49) == Plan(at=50)
    assert plan([running], told, frozenset({arn}), 50).renew == (running,)


def test_resend_when_repeated_then_pauses_double_up_to_five_minutes():
    pauses = [Sent(RUNNING, "m", 0, times).resend_at for times in (1, 2, 3, 4, 5, 50)]
    assert pauses == [30, 60, 120, 240, 300, 300]


def test_acknowledge_when_of_another_message_then_nothing_changes():
    told = talked(desired=RUNNING, message_id="m", at=0)
    told.acknowledge("other")
    assert not told.tasks[a_task().arn].is_acknowledged
    told.acknowledge("m")
    assert told.tasks[a_task().arn].is_acknowledged


def test_batches_when_tasks_are_large_then_cut_by_size_and_a_huge_one_goes_alone():
    def told(size):
        return a_task(), acs.Task(arn="a", desired_status="RUNNING", group="x" * size)

    batches = list(in_batches([told(100_000), told(100_000), told(100_000), told(400_000), told(1)]))
    assert [len(batch) for batch in batches] == [2, 1, 1, 1]
    assert [len(batch) for batch in in_batches([told(1)] * 21)] == [10, 10, 1]
    assert list(in_batches([])) == []


@settings(max_examples=80)
@given(
    st.lists(
        st.tuples(st.sampled_from(list(TaskStatus)[1:-1]), st.booleans(), st.booleans(), st.booleans(), st.booleans()),
        max_size=8,
    ),
    st.floats(0, 1000),
)
def test_plan_when_carried_out_then_each_task_is_told_once_and_the_next_plan_is_empty(rows, now):
    tasks, told, roles = [], Conversation("s"), set()
    for number, (status, is_stopping, was_sent, is_acknowledged, has_role) in enumerate(rows):
        task = a_task(number, last_status=status, desired_status=STOPPED if is_stopping else RUNNING)
        tasks.append(task)
        if was_sent:
            told.tasks[task.arn] = Sent(task.desired_status, "m", 0.0, is_acknowledged=is_acknowledged)
        if has_role:
            roles.add(task.arn)
    todo = plan(tasks, told, frozenset(roles), now)
    groups = [todo.stop, todo.run, todo.again]
    assert all(task.desired_status is STOPPED for task in todo.stop)
    assert all(task.desired_status is RUNNING for task in todo.run)
    arns = [task.arn for group in groups for task in group]
    assert len(arns) == len(set(arns))
    for task in (each for group in groups for each in group):
        told.tasks[task.arn] = Sent(task.desired_status, "n", now)
    for task in (*todo.run, *todo.renew):
        told.refresh_at[task.arn] = now + 100
    told.manifest = LISTED
    after = plan(tasks, told, frozenset(roles), now)
    assert after.is_empty
    assert after.at is None or after.at > now

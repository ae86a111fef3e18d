"""CPU and memory: strings, the task against its containers, Fargate's table."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.model.rules import sizes
from homeport.shapes import ecs as shapes
from tests.unit.model.definitions import a_container


@pytest.mark.parametrize(
    ("text", "units"),
    [("1024", 1024), (" 256 ", 256), ("1 vCPU", 1024), ("1vcpu", 1024), (".25 vCPU", 256), ("0.5 vCPU", 512),
     ("2 vCPU", 2048), ("128", 128), ("196608", 196_608), ("192 vCPU", 196_608)],
)  # fmt: skip
def test_cpu_when_number_or_vcpu_then_units(text, units):
    assert sizes.cpu_units(text) == units


@pytest.mark.parametrize(
    "text", ["", " ", "0", "127", "196609", "-256", "1.5", "one", "vCPU", "1 GB", "0.1 vCPU", "1e3", "9" * 5000, "１"]
)
def test_cpu_when_malformed_or_out_of_range_then_refused(text):
    with pytest.raises(shapes.ClientException, match=r"Invalid 'cpu' setting for task\."):
        sizes.cpu_units(text)


@pytest.mark.parametrize(
    ("text", "mib"), [("512", 512), ("1 GB", 1024), ("0.5GB", 512), ("2gb", 2048), ("512 MB", 512), ("2.5 GB", 2560)]
)
def test_memory_when_number_or_gb_then_mib(text, mib):
    assert sizes.memory_mib(text) == mib


@pytest.mark.parametrize("text", ["", "0", "5", "-1", "x", "GB", "1.5", "9" * 5000, "0.0001 GB"])
def test_memory_when_malformed_or_too_little_then_refused(text):
    with pytest.raises(shapes.ClientException, match=r"Invalid 'memory' setting for task\."):
        sizes.memory_mib(text)


@pytest.mark.parametrize(
    ("settings", "cpu", "memory"),
    [
        ({"memory": 64}, None, None),
        ({"memory": None, "memory_reservation": 64}, None, None),
        ({"memory": None}, None, 512),
        ({"memory": 64, "memory_reservation": 64}, None, None),
        ({"memory": 512, "cpu": 256}, 256, 512),
        ({"memory": 6}, None, None),
    ],
)
def test_sizes_when_they_fit_then_pass(settings, cpu, memory):
    sizes.check_sizes((a_container(**settings),), cpu, memory)


@pytest.mark.parametrize(
    ("settings", "cpu", "memory", "sentence"),
    [
        ({"memory": None}, None, None,
         "Invalid setting for container 'app'. At least one of 'memory' or 'memoryReservation' must be specified."),
        ({"memory": 5}, None, None, "Invalid 'memory' setting for container 'app'."),
        ({"memory": 0}, None, None, "Invalid 'memory' setting for container 'app'."),
        ({"memory_reservation": -1}, None, None, "Invalid 'memoryReservation' setting for container 'app'."),
        ({"memory": 64, "memory_reservation": 65}, None, None,
         "Invalid setting for container 'app'. 'memory' must be greater than or equal to 'memoryReservation'."),
        ({"memory": 513}, None, 512, "The 'memory' setting for container 'app' is greater than for the task."),
        ({"memory_reservation": 513}, None, 512,
         "The 'memoryReservation' setting for container 'app' is greater than for the task."),
        ({"cpu": -1}, None, None, "Invalid 'cpu' setting for container 'app'."),
        ({"cpu": 257}, 256, None, "The total 'cpu' setting of the containers is greater than for the task."),
    ],
)  # fmt: skip
def test_sizes_when_they_do_not_fit_then_refused_with_the_sentence(settings, cpu, memory, sentence):
    with pytest.raises(shapes.ClientException) as caught:
        sizes.check_sizes((a_container(**settings),), cpu, memory)
    assert caught.value.message == sentence


def test_sizes_when_containers_together_exceed_the_task_then_refused():
    pair = (a_container("a", memory=300), a_container("b", memory=300))
    with pytest.raises(shapes.ClientException, match="total 'memory'"):
        sizes.check_sizes(pair, None, 512)
    sizes.check_sizes(pair, None, 600)


@pytest.mark.parametrize(
    ("cpu", "first", "last", "count"),
    [(256, 512, 2048, 3), (512, 1024, 4096, 4), (1024, 2048, 8192, 7), (2048, 4096, 16384, 13), (4096, 8192, 30720, 23),
     (8192, 16384, 61440, 12), (16384, 32768, 122880, 12), (32768, 61440, 249856, 3)],
)  # fmt: skip
def test_fargate_table_when_read_then_as_documented(cpu, first, last, count):
    memory = sizes.FARGATE_SIZES[cpu]
    assert (min(memory), max(memory), len(memory)) == (first, last, count)


@given(cpu=st.integers(1, 40_000), memory=st.integers(1, 300_000))
@settings(max_examples=100)
def test_fargate_size_when_not_in_the_table_then_the_pair_is_named(cpu, memory):
    if memory in sizes.FARGATE_SIZES.get(cpu, ()):
        sizes.check_fargate_size(cpu, memory)
        return
    with pytest.raises(shapes.ClientException) as caught:
        sizes.check_fargate_size(cpu, memory)
    assert caught.value.message == (
        f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory."
        " See the Amazon ECS documentation for the valid values."
    )


def test_fargate_size_when_absent_then_says_which():
    with pytest.raises(shapes.ClientException, match="'cpu' be defined at the task level"):
        sizes.check_fargate_size(None, 512)
    with pytest.raises(shapes.ClientException, match="'memory' be defined at the task level"):
        sizes.check_fargate_size(256, None)

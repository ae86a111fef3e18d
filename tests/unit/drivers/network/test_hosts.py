"""Our lines in the hosts file, and nobody else's."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from homeport.drivers.network.hosts import HostsFile, with_block

LINES = st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), max_size=12), max_size=6)
NAMES = st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.just("172.31.0.10"), max_size=4)


@given(LINES, NAMES, NAMES)
def test_block_when_written_twice_then_the_last_stands_and_everything_else_is_untouched(lines, first, second):
    text = "".join(f"{line}\n" for line in lines)
    once = with_block(text, "me", second)
    assert with_block(with_block(text, "me", first), "me", second) == once
    assert with_block(once, "me", {}) == text
    for name, address in second.items():
        assert f"{address} {name}\n" in once


def test_block_when_two_share_the_file_then_each_keeps_its_own():
    text = with_block(with_block("127.0.0.1 localhost\n", "a", {"x": "1.1.1.1"}), "b", {"y": "2.2.2.2"})
    assert "1.1.1.1 x" in text
    assert with_block(text, "b", {}) == with_block("127.0.0.1 localhost\n", "a", {"x": "1.1.1.1"})


def test_file_when_it_cannot_be_written_then_it_is_no_error(tmp_path):
    asyncio.run(HostsFile(tmp_path / "missing" / "hosts", "me").publish({"x": "1.1.1.1"}))


def test_file_when_names_are_published_then_it_holds_them(tmp_path):
    path = tmp_path / "hosts"
    path.write_text("127.0.0.1 localhost\n")
    hosts = HostsFile(path, "me")
    asyncio.run(hosts.publish({"x": "1.1.1.1"}))
    assert "1.1.1.1 x" in path.read_text()
    asyncio.run(hosts.publish({}))
    assert path.read_text() == "127.0.0.1 localhost\n"

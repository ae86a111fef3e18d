"""Load balancers' addresses on the real loopback interface."""

import asyncio
import os
import subprocess

import pytest

from homeport.drivers.network.addresses import LoopbackAddresses, release

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="addresses need root")
ONE, TWO = "172.31.241.1", "172.31.241.2"


def present(address):
    shown = subprocess.run(["ip", "-o", "-4", "addr", "show", "dev", "lo"], capture_output=True, text=True, check=True)
    return f" {address}/" in shown.stdout


def test_addresses_when_added_then_there_once_and_only_ours_are_taken_away(tmp_path):
    addresses = LoopbackAddresses(tmp_path)
    try:
        assert asyncio.run(addresses.add([ONE, TWO, "127.0.0.1"])) == {}
        assert asyncio.run(addresses.add([ONE])) == {}
        assert present(ONE)
        assert present(TWO)
        asyncio.run(addresses.keep_only([TWO]))
        assert not present(ONE)
        assert present(TWO)
    finally:
        release(tmp_path)
    assert not present(TWO)
    assert present("127.0.0.1")


def test_addresses_when_the_process_starts_again_then_it_knows_its_own(tmp_path):
    try:
        asyncio.run(LoopbackAddresses(tmp_path).add([ONE]))
        asyncio.run(LoopbackAddresses(tmp_path).keep_only([]))
        assert not present(ONE)
    finally:
        release(tmp_path)


def test_addresses_when_one_is_nonsense_then_its_problem_and_remedy_are_told(tmp_path):
    problems = asyncio.run(LoopbackAddresses(tmp_path).add(["999.1.1.1"]))
    assert "ip addr add 999.1.1.1/32 dev lo" in problems["999.1.1.1"]

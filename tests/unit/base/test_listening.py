"""Sockets handed down by a supervisor."""

import os
import socket

from homeport.base.listening import handed_down, inherited_socket


def test_handed_down_when_told_by_either_convention_finds_the_numbers():
    systemd = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "log-intake:other"}
    assert handed_down(systemd) == {"log-intake": 3, "other": 4}
    assert handed_down(systemd | {"LISTEN_PID": "1"}) == {}
    assert handed_down({"HOMEPORT_LISTENERS": "log-intake=7,broken,=3,x=y"}) == {"log-intake": 7}
    assert handed_down({"HOMEPORT_LISTENERS": ""}) == {}


def test_inherited_socket_when_it_is_not_what_was_asked_for_is_none():
    assert inherited_socket("log-intake", 1, {}) is None
    assert inherited_socket("log-intake", 1, {"HOMEPORT_LISTENERS": "log-intake=99999"}) is None
    with socket.socket() as unbound:
        environment = {"HOMEPORT_LISTENERS": f"log-intake={unbound.fileno()}"}
        assert inherited_socket("log-intake", 1, environment) is None
        same = inherited_socket("log-intake", 0, environment)
        assert same is not None
        assert same.fileno() != unbound.fileno()
        same.close()

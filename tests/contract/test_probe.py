"""The network prober against real sockets on loopback: every protocol, and everything that a target may do wrong."""

import asyncio
import ssl
import time
from datetime import datetime, timedelta

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived

from homeport.drivers.probe import Answered, Disturbed, Failed, Probe, TimedOut
from homeport.drivers.probe.network import NetworkProber

HOST = "127.0.0.1"


def a_probe(port, **more):
    return Probe(**({"protocol": "HTTP", "host": HOST, "port": port, "timeout": 2.0, "path": "/ping"} | more))


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """A server's TLS context with a certificate that nobody should trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "nobody.example")])
    now = datetime(2020, 1, 1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    encoding = serialization.Encoding.PEM
    path.write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(encoding)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def probed(serve, context=None, **more):
    """The outcome of one probe of a server whose connections are handled by `serve(reader, writer)`."""

    async def main():
        async def handle(reader, writer):
            try:
                await serve(reader, writer)
            except (ConnectionError, asyncio.CancelledError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(handle, HOST, 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        outcome = await NetworkProber().probe(a_probe(port, **more))
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.01)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        return outcome

    return asyncio.run(main())


def answer(text, *, until=b"\r\n\r\n"):
    async def serve(reader, writer):
        await reader.readuntil(until)
        writer.write(text)
        await writer.drain()

    return serve


def closed_port():
    async def main():
        server = await asyncio.start_server(lambda *_: None, HOST, 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        return port

    return asyncio.run(main())


async def silence(reader, writer):
    await reader.read()


@pytest.mark.parametrize("code", [200, 204, 301, 404, 503])
def test_probe_when_http_server_answers_then_its_status(code):
    assert probed(answer(f"HTTP/1.1 {code} Whatever\r\nContent-Length: 2\r\n\r\nok".encode())) == Answered(code)


def test_probe_when_http_then_request_is_elbs():
    seen = []

    async def serve(reader, writer):
        seen.extend((await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n"))
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n")

    assert probed(serve) == Answered(200)
    assert seen[0] == "GET /ping HTTP/1.1"
    assert {"User-Agent: ELB-HealthChecker/2.0", "Connection: close"} <= set(seen)
    assert any(line.startswith(f"Host: {HOST}:") for line in seen)


def test_probe_when_interim_answer_comes_first_then_the_final_one_counts():
    assert probed(answer(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")) == Answered(200)


def test_probe_when_body_is_endless_then_answered_all_the_same():
    async def serve(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    assert probed(serve) == Answered(200)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"hello\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 999 No\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"x" * 200_000,
        b"\xff\x00\r\n",
    ],
)
def test_probe_when_answer_is_no_http_then_failed(text):
    assert isinstance(probed(answer(text)), Failed)


@pytest.mark.parametrize("protocol", ["HTTP", "HTTPS", "TCP"])
def test_probe_when_nobody_listens_then_failed(protocol):
    outcome = asyncio.run(NetworkProber().probe(a_probe(closed_port(), protocol=protocol)))
    assert isinstance(outcome, Failed)


@pytest.mark.parametrize("version", ["HTTP1", "HTTP2", "GRPC"])
@pytest.mark.parametrize("protocol", ["HTTP", "HTTPS"])
def test_probe_when_server_says_nothing_then_timed_out(protocol, version):
    assert probed(silence, protocol=protocol, version=version, timeout=0.1) == TimedOut()


def test_probe_when_the_process_stands_still_then_target_is_not_blamed():
    async def serve(reader, writer):
        asyncio.get_running_loop().call_later(0.05, time.sleep, 0.8)
        await reader.read()

    assert probed(serve, timeout=0.1) == Disturbed()


def test_probe_when_headers_do_not_end_then_timed_out():
    async def serve(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n")
        await reader.read()

    assert probed(serve, timeout=0.1) == TimedOut()


def test_probe_when_https_then_any_certificate_will_do(tls):
    assert probed(answer(b"HTTP/1.1 200 OK\r\n\r\n"), tls, protocol="HTTPS") == Answered(200)


def test_probe_when_http_is_spoken_to_tls_or_the_reverse_then_failed(tls):
    assert isinstance(probed(silence, tls, protocol="HTTP"), Failed)
    assert isinstance(probed(answer(b"HTTP/1.1 400 Bad\r\n\r\n", until=b"\x16"), protocol="HTTPS"), Failed)


def test_probe_when_tcp_then_a_connection_is_enough():
    assert probed(silence, protocol="TCP") == Answered(None)


def http2(headers, trailers=None, seen=None):
    async def serve(reader, writer):
        connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, RequestReceived):
                    if seen is not None:
                        seen.update(dict(event.headers))
                    connection.send_headers(event.stream_id, headers, end_stream=trailers == ())
                    if trailers != ():
                        connection.send_data(event.stream_id, b"pong" * 1000, end_stream=trailers is None)
                    if trailers:
                        connection.send_headers(event.stream_id, trailers, end_stream=True)
            writer.write(connection.data_to_send())

    return serve


@pytest.mark.parametrize("protocol", ["HTTP", "HTTPS"])
def test_probe_when_http2_then_its_status(tls, protocol):
    seen = {}
    serve = http2([(":status", "204")], seen=seen)
    assert probed(serve, tls if protocol == "HTTPS" else None, protocol=protocol, version="HTTP2") == Answered(204)
    assert (seen[":method"], seen[":path"], seen[":scheme"]) == ("GET", "/ping", protocol.lower())


def test_probe_when_http2_is_asked_of_an_http1_server_then_failed():
    assert isinstance(probed(answer(b"HTTP/1.1 400 Bad Request\r\n\r\n"), version="HTTP2"), Failed)


@pytest.mark.parametrize(
    ("headers", "trailers", "outcome"),
    [
        ([(":status", "200")], [("grpc-status", "0")], Answered(0)),
        ([(":status", "200"), ("grpc-status", "12")], (), Answered(12)),
        ([(":status", "404")], None, Failed("the answer has no status")),
        ([(":status", "200")], [("grpc-status", "many")], None),
    ],
)
def test_probe_when_grpc_then_grpc_status(headers, trailers, outcome):
    found = probed(http2(headers, trailers), version="GRPC")
    assert found == outcome if outcome is not None else isinstance(found, Failed)


def test_probe_when_real_grpc_server_lacks_the_method_then_unimplemented():
    from concurrent.futures import ThreadPoolExecutor

    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port(f"{HOST}:0")
    server.start()
    try:
        outcome = asyncio.run(NetworkProber().probe(a_probe(port, version="GRPC", path="/AWS.ALB/healthcheck")))
    finally:
        server.stop(None).wait()
    assert outcome == Answered(12)


def test_probe_when_host_is_no_address_then_failed():
    assert isinstance(asyncio.run(NetworkProber().probe(a_probe(80, host="not an address"))), Failed)

"""The key is in no file, no error, no record and no log, whatever the server sends back."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from mrharm.errors import InputError, MrHarmError
from mrharm.llm import AuthorizationError
from tests.llm.conftest import KEY, ask, client, question, sql
from tests.stub_server import Reply, StubServer

ECHOES = {
    "answer": Reply(f"your key is {KEY}"),
    "bad": Reply(status=400, error={"message": f"Bearer {KEY} asked for nonsense"}),
    "server": Reply(status=500, error={"message": f"crashed at {KEY}"}),
    "html": Reply(status=400, body=f"<pre>{KEY}</pre>".encode()),
    "malformed": Reply(body=f"Authorization: Bearer {KEY}".encode()),
    "refused": Reply(text=None, refusal=f"not for {KEY}"),
}


def test_the_key_is_nowhere_though_the_server_repeats_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with StubServer(lambda text: ECHOES[text]) as server, client(server.url, attempts=2) as asking:
        results = [result for _, result in asking.complete_many(map(question, ECHOES))]
        rows = sql(asking.ledger.path, "SELECT * FROM calls")
        assert server.keys == {f"Bearer {KEY}"}
        written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    shown = "".join(f"{result!r} {result}" for result in [*results, *rows, asking])
    assert len(results) == len(rows) == len(ECHOES)
    for place in (shown, written.decode("latin-1"), caplog.text):
        assert KEY not in place
    assert "[key]" in shown


def test_the_error_about_a_wrong_key_repeats_no_part_of_it() -> None:
    reply = Reply(status=401, error={"message": f"Incorrect API key provided: {KEY[:8]}*****{KEY[-4:]}"})
    with StubServer([reply]) as server, client(server.url) as asking:
        with pytest.raises(AuthorizationError) as caught:
            ask(asking, question("what?"))
        row = asking.ledger.find_row(question("what?").key)
    for part in (KEY[:8], KEY[-4:]):
        assert part not in str(caught.value) and part not in repr(row)
    assert caught.value.__cause__ is None


def test_a_key_comes_from_a_file_and_a_password_in_the_address_stays_secret(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("another-key-123\n", encoding="utf-8")
    with StubServer([Reply(status=400, error={"message": "hunter22 and another-key-123"})]) as server:
        url = server.url.replace("://", "://user:hunter22@")
        with client(url, key_file=file) as asking, pytest.raises(MrHarmError) as caught:
            ask(asking, question("what?"))
    assert "another-key-123" not in str(caught.value) and "hunter22" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"two words", "schlüssel".encode(), b"\xff\xfe"])
def test_a_file_that_holds_no_key_is_refused_without_showing_it(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with client("http://127.0.0.1:1/v1", key_file=file) as asking, pytest.raises(InputError) as caught:
        ask(asking, question("what?"))
    assert "words" not in str(caught.value) and "schl" not in str(caught.value)

"""Every way in that is not the printed address and our own form is shut, on a real server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support.pages import LOST, Served
from ullage.cli import app
from ullage.errors import InputError
from ullage.serve.security import HEADERS
from ullage.serve.server import TOKEN_ENV, make_access

SECRET = "root:x:0:0"


def acceptances(folder: Path) -> list[Path]:
    return sorted(folder.glob("runs/*/acceptances/*"))


def test_the_printed_address_gives_a_strict_cookie_and_drops_the_token(served: Served) -> None:
    token = served.site.access.token
    answer = served.ask(f"/diff?first=a&token={token}&second=b", headers={"Cookie": None})
    assert (answer.status, answer.headers["location"]) == (303, "/diff?first=a&second=b")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "samesite=strict" in cookie.lower()
    assert token not in cookie
    assert served.ask("/").status == 200


@pytest.mark.parametrize(
    "path", ["//evil.test/", "/\\evil.test", "/%2f/evil.test", "/%0d%0aX:%20y"]
)
def test_the_token_never_sends_a_browser_elsewhere(served: Served, path: str) -> None:
    answer = served.ask(f"{path}?token={served.site.access.token}", headers={"Cookie": None})
    place = answer.headers.get("location", "/")
    assert place.startswith("/") and not place.startswith(("//", "/\\"))
    assert "x" not in answer.headers


@pytest.mark.parametrize(
    "cookie", [None, "", "ullage=1", "{name}=", "{name}=wrong", "other={session}"]
)
@pytest.mark.parametrize("query", ["", "?token=", "?token=wrong", "?token=%00", "?csrf=1"])
def test_without_token_and_cookie_nothing_is_shown(
    served: Served, cookie: str | None, query: str
) -> None:
    access = served.site.access
    told = cookie and cookie.format(name=access.cookie_name, session=access.session)
    for path in ("/", served.run("scrubbed"), "/static/pages.css", "/nowhere"):
        answer = served.ask(path + query, headers={"Cookie": told})
        assert answer.status == 401
        assert access.token not in answer.text and "scrubbed" not in answer.text


@pytest.mark.parametrize(
    "host",
    ["evil.test", "evil.test:{port}", "127.0.0.1", "127.0.0.1:1", "localhost.evil.test:{port}",
     "127.0.0.1:{port}.evil.test", "0.0.0.0:{port}", "", None],
)  # fmt: skip
def test_a_foreign_host_is_refused(served: Served, host: str | None) -> None:
    """DNS made to say that a foreign name is this machine."""
    told = None if host is None else host.format(port=served.port)
    answer = served.ask(f"/?token={served.site.access.token}", headers={"Host": told})
    assert answer.status in (400, 403)
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("host", ["localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}"])
def test_our_own_names_are_known(served: Served, host: str) -> None:
    assert served.ask("/", headers={"Host": host.format(port=served.port)}).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": None},
        {"Origin": "null"},
        {"Origin": "http://evil.test"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://127.0.0.1:{port}.evil.test"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Cookie": None},
    ],
)
def test_a_write_from_elsewhere_is_refused(
    own: tuple[Served, Path], headers: dict[str, str | None]
) -> None:
    served, folder = own
    told = {k: v and v.format(port=served.port) for k, v in headers.items()}
    place = served.run("scrubbed") + "/accept"
    answer = served.ask(place, form=served.acceptance(), headers=told)
    assert answer.status in (401, 403)
    assert acceptances(folder) == []


@pytest.mark.parametrize("csrf", ["", "wrong", "0" * 64])
def test_a_write_without_the_forms_own_token_is_refused(
    own: tuple[Served, Path], csrf: str
) -> None:
    served, folder = own
    place = served.run("scrubbed") + "/accept"
    assert served.ask(place, form=served.acceptance(csrf=csrf)).status == 403
    form = served.acceptance()
    del form["csrf"]
    assert served.ask(place, form=form).status == 403
    assert served.ask(place, form=served.acceptance(by="x" * 70_000)).status == 413
    token = f"?token={served.site.access.token}"
    no_cookie = {"Cookie": None}
    assert served.ask(place + token, form=served.acceptance(), headers=no_cookie).status == 401
    assert acceptances(folder) == []
    assert served.ask(place, form=served.acceptance()).status == 303
    assert len(acceptances(folder)) == 1


@pytest.mark.parametrize(
    "headers", [{"Origin": None}, {"Origin": "http://evil.test"}, {"Cookie": None}]
)
def test_nobody_else_withdraws(own: tuple[Served, Path], headers: dict[str, str | None]) -> None:
    served, folder = own
    place = served.run("scrubbed")
    assert served.ask(f"{place}/accept", form=served.acceptance()).status == 303
    form = {"csrf": served.site.access.csrf, "target": LOST, "by": "Eve", "because": "Evil."}
    assert served.ask(f"{place}/withdraw", form=form, headers=headers).status in (401, 403)
    assert served.ask(f"{place}/withdraw", form=form | {"csrf": "wrong"}).status == 403
    assert len(acceptances(folder)) == 1
    assert served.ask(f"{place}/withdraw", form=form).status == 303
    assert len(acceptances(folder)) == 2


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_not_spoken(served: Served, method: str) -> None:
    answer = served.ask(served.run("scrubbed"), method=method)
    assert answer.status == 405
    assert "access-control-allow-origin" not in answer.headers


PLACES = [
    "/../../../../etc/passwd",
    "/static/../../../../../etc/passwd",
    "/static/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/static//etc/passwd",
    "/static/%2fetc%2fpasswd",
    "/runs/../../../etc/passwd",
    "/runs/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "/runs//etc/passwd",
    "/runs/%2fetc/statement",
    "{run}/files/../../../../../etc/passwd",
    "{run}/files/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "{run}/files/%2e%2e%2fada.key",
    "{run}/files/%2e%2e%252fada.key",
    "{run}/files//etc/passwd",
    "{run}/files/%2fetc%2fpasswd",
    "{run}/files/..\\..\\ada.key",
    "{run}/files/replies.jsonl",
    "{run}/files/acceptances",
    "{run}/files/statement.json%00.html",
    "{run}/../../ada.key",
    "/diff?first=../../etc&second=/etc/passwd",
    "/trainings/../../../etc/passwd",
    "/trainings/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "/trainings//etc/passwd",
]


@pytest.mark.parametrize("place", PLACES)
def test_no_address_is_a_path(served: Served, place: str) -> None:
    answer = served.ask(place.format(run=served.run("scrubbed")))
    assert answer.status == 404
    assert SECRET not in answer.text and "PRIVATE KEY" not in answer.text


@pytest.mark.parametrize(
    "name", ["statement.json", "replies.jsonl", "scores.parquet", "acceptances", "config.yaml"]
)
def test_a_link_out_of_the_folder_is_refused(own: tuple[Served, Path], name: str) -> None:
    served, folder = own
    run = folder / "runs" / "scrubbed"
    outside = folder / "outside"
    if name == "acceptances":
        outside.mkdir()
    else:
        outside.write_bytes((run / name).read_bytes())
        (run / name).unlink()
    (run / name).symlink_to(outside)
    place = served.run("scrubbed")
    for path in (place, f"{place}/files/statement.json", f"{place}/items"):
        answer = served.ask(path)
        assert answer.status == 422 and "link" in answer.text
    answer = served.ask(f"{place}/accept", form=served.acceptance())
    assert answer.status == 422
    assert not outside.is_dir() or list(outside.iterdir()) == []
    assert "is a link to what lies outside" in served.ask("/").text


def test_links_to_folders_are_not_followed(own: tuple[Served, Path], tmp_path: Path) -> None:
    served, folder = own
    (folder / "runs" / "linked").symlink_to(folder.parent / "world" / "runs" / "every")
    (folder / "runs" / "up").symlink_to(folder)
    assert {run.folder.path.name for run in served.site.runs.every()} == {
        "scrubbed", "whole", "half", "hostile", "every", "reach",
    }  # fmt: skip


def test_a_pipe_in_place_of_a_file_does_not_hang(own: tuple[Served, Path]) -> None:
    served, folder = own
    path = folder / "runs" / "every" / "statement.json"
    place = served.run("every")
    path.unlink()
    os.mkfifo(path)
    assert served.ask(place).status == 404
    assert served.ask("/").status == 200


def test_every_answer_says_that_nothing_foreign_may_act(served: Served) -> None:
    run = served.run("scrubbed")
    for path in (
        "/",
        run,
        f"{run}/accept?target={LOST}",
        f"{run}/withdraw?target={LOST}",
        "/static/items.js",
        "/no",
        "/no?token=x",
    ):
        answer = served.ask(path)
        wanted = {name: value for name, value in HEADERS.items() if name != "cache-control"}
        if "target=" in path:  # else a browser hides where our own form comes from
            wanted["referrer-policy"] = "same-origin"
        assert wanted.items() <= answer.headers.items(), path
        assert "server" not in answer.headers
    refused = served.ask("/", headers={"Cookie": None})
    assert refused.headers["content-security-policy"] == HEADERS["content-security-policy"]


@pytest.mark.parametrize("name", ["statement.html", "statement.json", "statement.md"])
def test_files_are_kept_and_never_shown_as_ours(own: tuple[Served, Path], name: str) -> None:
    served, folder = own
    crafted = b"<script>alert(1)</script>"
    if name != "statement.json":
        (folder / "runs" / "every" / name).write_bytes(crafted)
    answer = served.ask(f"{served.run('every')}/files/{name}")
    assert answer.status == 200
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert "sandbox" in answer.headers["content-security-policy"]


def test_a_crafted_page_in_the_folder_is_not_what_is_shown(own: tuple[Served, Path]) -> None:
    served, folder = own
    (folder / "runs" / "every" / "statement.html").write_text("<script>alert(1)</script>")
    shown = served.ask(f"{served.run('every')}/statement")
    assert "alert(1)" not in shown.text and "What was lost" in shown.text
    assert "script-src" not in shown.headers["content-security-policy"]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.test"])
def test_beyond_this_machine_only_with_a_token_of_ones_own(host: str) -> None:
    with pytest.raises(InputError, match="reaches beyond this machine"):
        make_access(host, 80, env={})
    with pytest.raises(InputError, match="shorter than 20"):
        make_access(host, 80, env={TOKEN_ENV: "short"})
    access = make_access(host, 80, ["Audit.example"], env={TOKEN_ENV: "y" * 24})
    assert access.token == "y" * 24
    assert {"audit.example", "audit.example:80", "localhost:80"} <= access.hosts


def test_a_token_is_new_at_each_start_and_none_is_an_option() -> None:
    first, second = (make_access("127.0.0.1", 80, env={}) for _ in range(2))
    assert len({first.token, second.token, first.session, second.session}) == 4
    assert min(len(first.token), len(first.session)) >= 40
    told = CliRunner().invoke(app, ["serve", "--help"]).output
    assert "--host" in told and "--token" not in told


def test_bad_usage_is_one_line(tmp_path: Path) -> None:
    for arguments, said in (
        ([str(tmp_path / "none"), "--port", "0"], "is no folder"),
        ([str(tmp_path), "--host", "0.0.0.0", "--port", "0"], "beyond this machine"),
        ([str(tmp_path), "--host", "203.0.113.9", "--port", "0"], "cannot listen"),
        ([str(tmp_path), "--policy", str(tmp_path / "no.yaml"), "--port", "0"], "no.yaml"),
        ([str(tmp_path), "--key", str(tmp_path / "no.key"), "--port", "0"], "no.key"),
    ):
        result = CliRunner().invoke(app, ["serve", *arguments])
        assert isinstance(result.exception, InputError)
        assert said in str(result.exception)

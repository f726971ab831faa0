"""Who may come in: names, origins, the token, the cookie, the key, and how often something wrong may be said."""

from __future__ import annotations

from typing import Any

import pytest

from localagent.serve.web.doors import Doors, Refused, Tries

OURS = {"host": "127.0.0.1:8412"}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def refused(check: Any, *given: Any) -> int:
    with pytest.raises(Refused) as caught:
        check(*given)
    return caught.value.status


@pytest.mark.parametrize("host", ["127.0.0.1:8412", "localhost:8412", "[::1]:8412"])
def test_our_own_names_are_taken(host: str) -> None:
    Doors(8412).check_place({"host": host}, "GET")
    Doors(8412).check_place({"host": host, "origin": f"http://{host}"}, "GET")


@pytest.mark.parametrize(
    "host",
    ["", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:84120", "evil.example:8412", "127.0.0.1.evil.example:8412", "127.1:8412",
     "a@127.0.0.1:8412", "127.0.0.1:8412.", "LOCALHOST.:8412", "0.0.0.0:8412", "[::]:8412", "127.0.0.1:08412"],
)  # fmt: skip
def test_every_other_name_is_refused(host: str) -> None:
    assert refused(Doors(8412).check_place, {"host": host}, "GET") == 403


def test_on_port_80_the_name_stands_alone() -> None:
    Doors(80).check_place({"host": "localhost"}, "GET")


@pytest.mark.parametrize(
    "origin",
    ["null", "", "http://evil.example", "https://127.0.0.1:8412", "http://127.0.0.1", "http://127.0.0.1:9999",
     "http://localhost:8412", "http://127.0.0.1:8412.evil.example", "http://127.0.0.1:8412/"],
)  # fmt: skip
def test_another_origin_is_refused(origin: str) -> None:
    assert refused(Doors(8412).check_place, OURS | {"origin": origin}, "GET") == 403
    assert refused(Doors(8412).check_origin, OURS | {"origin": origin}) == 403


def test_a_websocket_must_say_its_origin() -> None:
    assert refused(Doors(8412).check_origin, OURS) == 403
    Doors(8412).check_origin(OURS | {"origin": "http://127.0.0.1:8412"})


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_pages_elsewhere_may_only_lead_here(site: str) -> None:
    doors, headers = Doors(8412), OURS | {"sec-fetch-site": site}
    assert refused(doors.check_place, headers | {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"}, "GET") == 403
    assert refused(doors.check_place, headers | {"sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}, "GET") == 403
    doors.check_place(headers | {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, "GET")


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "PUT"])
def test_only_get_is_answered(method: str) -> None:
    assert refused(Doors(8412).check_place, OURS, method) == 403


def test_the_secrets_are_long_and_new_each_time() -> None:
    one, two = Doors(8412), Doors(8412)
    secrets = {one.token, one.key, one.cookie, two.token, two.key, two.cookie}
    assert len(secrets) == 6 and len(one.token) >= 43 and len(one.key) >= 43
    assert "HttpOnly" in one.cookie and "SameSite=Strict" in one.cookie and "Domain" not in one.cookie


def test_the_token_the_cookie_and_the_key() -> None:
    doors = Doors(8412)
    doors.check_token(doors.token)
    value = doors.cookie.partition(";")[0]
    doors.check_cookie(value)
    doors.check_cookie(f'other="a b; c; {value}; more=1')
    doors.check_key(["localagent", doors.key])
    for check, wrong in [
        (doors.check_token, ""), (doors.check_token, doors.token[:-1]), (doors.check_token, doors.key),
        (doors.check_token, "ü"), (doors.check_cookie, ""), (doors.check_cookie, f"{doors.name}={doors.token}"),
        (doors.check_key, []), (doors.check_key, [doors.key]), (doors.check_key, ["localagent", doors.token]),
        (doors.check_key, ["localagent", doors.key, "more"]), (doors.check_key, ["other", doors.key]),
    ]:  # fmt: skip
        assert refused(check, wrong) == 403, wrong


def test_after_ten_wrong_tokens_even_the_right_one_waits() -> None:
    clock = Clock()
    doors = Doors(8412, clock)
    assert [refused(doors.check_token, "wrong") for _ in range(12)] == [403] * 10 + [429] * 2
    assert refused(doors.check_token, doors.token) == 429
    # Who is in already notices nothing.
    doors.check_cookie(doors.cookie.partition(";")[0])
    clock.now = 6.5
    doors.check_token(doors.token)


def test_a_cookie_of_an_earlier_server_is_no_wrong_try() -> None:
    old, doors = Doors(8412), Doors(8412)
    for _ in range(50):
        assert refused(doors.check_cookie, old.cookie.partition(";")[0]) == 403
    doors.check_cookie(doors.cookie.partition(";")[0])


def test_only_the_cookies_of_earlier_servers_on_this_port_are_removed() -> None:
    old, doors, other = Doors(8412), Doors(8412), Doors(9000)
    header = "; ".join([old.cookie.partition(";")[0], doors.cookie.partition(";")[0], other.cookie.partition(";")[0], "x=1"])
    (removed,) = doors.stale(header)
    assert removed.startswith(f"{old.name}=;") and "Max-Age=0" in removed
    assert doors.stale("localagent-8412-\r\nx=1; localagent-8412-zz=1") == []


def test_tries_come_back_slowly_and_never_more_than_at_first() -> None:
    clock = Clock()
    tries = Tries(clock)
    for _ in range(10):
        assert not tries.spent()
        tries.wrong()
    assert tries.spent()
    clock.now = 1e6
    assert not tries.spent() and tries.left == 10

"""The chat channels as `localagent channels` makes them: from texts in a file, with secrets that come later."""

from __future__ import annotations

import pytest

from localagent.channels import registry
from localagent.channels.base import Channel, Receiver
from localagent.errors import ChannelError
from localagent.store.channels import Configured
from tests.channels.messages import outgoing
from tests.channels.web import run

_FULL = {
    "telegram": ({"senders": "5, 6", "server": "https://bots.example"}, True),
    "matrix": ({"server": "https://h.example", "login": "password", "user": "@a:h", "allowed": ["@b:h"]}, True),
    "ntfy": ({"inbox": "mine"}, True),
    "webhook": ({"url": "https://hooks.example/x", "once": "true"}, False),
    "desktop": ({"title": "Agent"}, False),
    "other": ({"address": "the team"}, False),
}


@pytest.mark.parametrize("name", _FULL)
def test_every_kind_is_made_of_its_settings(name):
    options, receives = _FULL[name]
    made = registry.make(Configured("mine", name, options, "channels.yaml:1"))
    assert isinstance(made, Channel) and isinstance(made, Receiver) == receives
    assert (made.name, made.kind) == ("mine", name)
    run(made.aclose())


@pytest.mark.parametrize("name", _FULL)
def test_settings_that_there_are_not_are_told(name):
    with pytest.raises(ChannelError, match=r"channels\.yaml:1: mine"):
        registry.make(Configured("mine", name, _FULL[name][0] | {"nonsense": "1"}, "channels.yaml:1"))


def test_a_secret_that_is_missing_is_a_failure_that_says_what_to_do():
    made = registry.make(Configured("mine", "telegram", {}, "channels.yaml:1"))
    sent = run(made.send(outgoing("5")))
    assert sent.state == "failed" and not sent.again and "channels secret mine" in sent.detail

"""Messages that a person publishes by hand on an embedded run's bus."""

import json
from typing import Any

import redis

from services.runtime.bus.redis.acl import OPERATOR
from services.runtime.embedded.home import Home
from services.runtime.settings.secrets import password_variable


def post_as_operator(home: Home, topic: str, message: dict[str, Any]) -> None:
    """Publish one message on a topic of the run in a home."""
    session = home.session()
    assert session is not None, "no run is open in this home"
    variable = password_variable(OPERATOR)
    password = home.passwords((variable,))[variable]
    with redis.Redis(port=session.redis_port, username=OPERATOR, password=password) as bus:
        assert bus.publish(topic, json.dumps(message)), f"nobody listens on {topic}"

"""Whether the queue may throw away what it should keep.

Redis and Valkey that are full either refuse writes (``maxmemory-policy noeviction``) or evict keys, also those
that hold channels, presence and locks: what was confirmed is then gone.
"""

from __future__ import annotations

from typing import Any

import structlog
from redis.exceptions import ResponseError

log = structlog.get_logger(__name__)

SAFE = "noeviction"

POLICY = """
local memory = redis.pcall('INFO', 'memory')
return type(memory) == 'string' and string.match(memory, 'maxmemory_policy:([%w-]+)') or ''
"""
"""Returns the policy of the server that holds a key, as INFO says it; an empty text if it does not."""


class EvictionWatch:
    """Looks at the policy now and then, and says once what is wrong with it.

    :param key: a key of the service, which names the server in a cluster.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._found = SAFE

    def look(self, client: Any) -> None:
        """Look at the policy."""
        found = policy_of(client, self._key)
        if found == self._found:
            return
        self._found = found
        if not found:
            log.warning(
                "whether the message queue evicts keys cannot be known",
                cure="allow INFO, and make sure that its maxmemory-policy is noeviction",
            )
        elif found == SAFE:
            log.info("the message queue evicts keys no more")
        else:
            log.error(
                "the message queue may evict keys",
                policy=found,
                cure="set its maxmemory-policy to noeviction, or confirmed messages get lost",
            )


def policy_of(client: Any, key: str) -> str:
    """Return the policy of the server that holds a key; an empty text if it does not say.

    INFO comes first: hosted servers forbid CONFIG.
    """
    policy: bytes = client.register_script(POLICY)([key])
    if policy:
        return policy.decode()
    try:
        configured = client.config_get("maxmemory-policy")
    except ResponseError:
        return ""
    return str(configured.get("maxmemory-policy", ""))

"""Refuse secrets that can be guessed."""

from __future__ import annotations

SHORTEST_SECRET = 32
"""Characters. Of those that token_urlsafe draws, 192 bits."""

KNOWN_SECRETS = frozenset(
    {
        "secret",
        "secret!",
        "secret_key",
        "secretkey",
        "changeme",
        "change-me",
        "change_me",
        "changethis",
        "default",
        "dev",
        "development",
        "password",
        "your-secret-key",
        "your_secret_key",
        "your-secret-key-here",
    }
)
PLACEHOLDER_WORDS = (
    "changeme",
    "change-me",
    "change_me",
    "changethis",
    "your-secret",
    "your_secret",
)


def check_secret(secret: str, name: str = "SECRET_KEY") -> None:
    """Refuse a secret that is missing, well known or can be guessed.

    :param secret: what signs the session cookies, or lets an operator in.
    :param name: what to call it.
    :raises ValueError: saying what is wrong with it and how to make one.
    """
    make_one = 'make one with: python3 -c "import secrets; print(secrets.token_urlsafe(48))"'
    if not secret:
        raise ValueError(f"{name} is missing: set it in the environment or in .env; {make_one}")
    lowered = secret.lower()
    if lowered in KNOWN_SECRETS or any(word in lowered for word in PLACEHOLDER_WORDS):
        raise ValueError(f"{name} is a well-known default: {make_one}")
    if len(secret) < SHORTEST_SECRET:
        raise ValueError(
            f"{name} has {len(secret)} characters, at least {SHORTEST_SECRET} are needed: "
            f"{make_one}"
        )
    if len(set(secret)) < SHORTEST_SECRET // 4:
        raise ValueError(f"{name} repeats a few characters and can be guessed: {make_one}")

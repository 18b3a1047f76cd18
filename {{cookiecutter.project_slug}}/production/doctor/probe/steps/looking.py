"""What a look at the service shows: its health and its page."""

from __future__ import annotations

import json
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from production.doctor.model import Finding, Severity
from production.doctor.probe.answers import BROKEN
from production.doctor.probe.context import CannotTell, Context
from production.doctor.probe.verdicts import Advice, Outcome, failed, passed, unknown
from production.doctor.probe.wire.engine import excerpt
from production.doctor.probe.wire.http import Answer, Browser
from production.doctor.report import check_folder

MOST_REDIRECTS = 5
"""Redirections that are followed within the service."""

MOST_SCRIPTS = 10
"""Scripts of a page that are read."""

NOT_READY = Advice(
    "The process says itself that it should not be sent new clients.",
    "event_loop_lag: find the call that blocks. message_queue: see whether Redis answers. not_draining: "
    "it is leaving, try again after the deployment.",
)

NO_PAGE = Advice(
    "There is nothing at the page's address, or not for everyone.",
    "Give the address of the page that uses Socket.IO, if there is one.",
)


def health(context: Context) -> Outcome:
    """Ask whether the service is ready for clients."""
    path = context.target.health
    answer = Browser(context.target).get(path, context.target.headers)
    if answer.status in {401, 403, 404, 405} or answer.is_page or 300 <= answer.status < 400:
        raise CannotTell(f"There is no health check at {path}: --health names another path.")
    checks = _checks(answer)
    if answer.status == 200:
        return passed(f"Ready: {', '.join(checks)}." if checks else "Answered 200.")
    if not checks:
        return failed(f"Answered {answer.status}: {excerpt(answer.text)}.", BROKEN)
    failing = [name for name, check in checks.items() if check.get("status") != "pass"]
    return failed(f"Not ready: {', '.join(failing)}.", NOT_READY, failing=", ".join(failing))


def page(context: Context) -> Outcome:
    """Load the page and its own scripts, and look for what the doctor knows to be wrong."""
    browser = Browser(context.target)
    path, answer = context.target.page, browser.get(context.target.page, context.target.headers)
    for _ in range(MOST_REDIRECTS):
        if not 300 <= answer.status < 400:
            break
        path = _within(context, path, answer.headers.get("location", "")) or path
        answer = browser.get(path, context.target.headers)
    if answer.status >= 500:
        return failed(f"{path} answered {answer.status}.", BROKEN, status=answer.status)
    if answer.status != 200:
        return unknown(f"{path} answered {answer.status}.", NO_PAGE)
    if not answer.is_page:
        raise CannotTell(f"{path} is no page, so nothing uses Socket.IO there.")
    texts = {"page.html": answer.text, **_scripts(context, browser, path, answer.text)}
    findings = _wrong_with(texts)
    if findings:
        first = findings[0]
        return failed(
            f"{first.check.title}: {first.quote}",
            Advice(first.message, first.check.fix),
            codes=", ".join(sorted({one.code for one in findings})),
        )
    scripts = len(texts) - 1
    return passed(
        f"{len(answer.body):,} bytes; nothing wrong in it or in its own scripts ({scripts})."
    )


def _checks(answer: Answer) -> dict[str, dict[str, object]]:
    """Return the checks of an answer in the layer's format, none if it is in another one."""
    try:
        checks = json.loads(answer.text)["checks"]
    except (ValueError, KeyError, TypeError):
        return {}
    if not isinstance(checks, dict):
        return {}
    return {name: check for name, check in checks.items() if isinstance(check, dict)}


class _ScriptFinder(HTMLParser):
    """Collects the addresses of a page's scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        source = dict(attrs).get("src")
        if tag == "script" and source:
            self.addresses.append(source)


def _scripts(context: Context, browser: Browser, path: str, text: str) -> dict[str, str]:
    """Return the scripts that the service itself serves, by a name of their own."""
    finder = _ScriptFinder()
    finder.feed(text)
    own = [found for one in finder.addresses if (found := _within(context, path, one))]
    scripts = {}
    for number, address in enumerate(own[:MOST_SCRIPTS]):
        answer = browser.get(address, context.target.headers)
        if answer.status == 200 and not answer.is_page:
            scripts[f"script{number}.js"] = answer.text
    return scripts


def _within(context: Context, path: str, reference: str) -> str:
    """Return path and query of a reference from a page, nothing if it leads elsewhere."""
    found = urlsplit(urljoin(context.target.own_origin + path, reference))
    if f"{found.scheme}://{found.netloc}" != context.target.own_origin:
        return ""
    return (found.path or "/") + (f"?{found.query}" if found.query else "")


def _wrong_with(texts: dict[str, str]) -> list[Finding]:
    with tempfile.TemporaryDirectory(prefix="probe-") as directory:
        for name, text in texts.items():
            Path(directory, name).write_text(text, encoding="utf-8")
        report = check_folder(Path(directory))
    return [
        one
        for one in report.findings
        if one.code.startswith("FSP9") and one.check.severity is Severity.BREAKS
    ]

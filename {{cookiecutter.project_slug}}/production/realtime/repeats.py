"""Recognize messages that arrive a second time, and those that never do.

A batch that timed out may have been published all the same, and is sent again. Each process numbers
its messages and publishes them in order, so the last number of each tells what is new, and what is
missing before it.
"""

from __future__ import annotations

from collections import OrderedDict

MAX_SENDERS = 1000
"""Processes whose last number is remembered; more than ever publish on one channel together."""


class Repeats:
    """The last number of each sender."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, int] = OrderedDict()

    def is_repeat(self, sender: str, number: int) -> bool:
        """Tell whether a message was here before, and remember it.

        :param sender: who numbered the message.
        :param number: its number.
        """
        if number <= self._last.get(sender, -1):
            return True
        self._remember(sender, number)
        return False

    def missed(self, sender: str, last: int) -> int:
        """Return how many messages of a sender were not here, and expect them no more.

        None is missed of a sender that is new here: what it has published before was for others.

        :param sender: who numbered the messages.
        :param last: the number of the last one that should have been here by now.
        """
        known = self._last.get(sender)
        if known is not None and known >= last:
            return 0
        self._remember(sender, last)
        return 0 if known is None else last - known

    def _remember(self, sender: str, number: int) -> None:
        self._last[sender] = number
        self._last.move_to_end(sender)
        if len(self._last) > MAX_SENDERS:
            self._last.popitem(last=False)

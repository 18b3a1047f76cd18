"""Recognize messages that arrive a second time.

A batch that timed out may have been published all the same, and is sent again. Each process numbers
its messages and publishes them in order, so the last number of each tells what is new.
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
        if number <= self._last.get(sender, 0):
            return True
        self._last[sender] = number
        self._last.move_to_end(sender)
        if len(self._last) > MAX_SENDERS:
            self._last.popitem(last=False)
        return False

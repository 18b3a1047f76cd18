"""A fuzzer of what clients send: recorded conversations, and the same ones with mistakes in them.

streams.py    reads the conversations in streams/
mutations.py  the kinds of mistakes, in a conversation, in a message and on the wire
cases.py      draws a case, the same for the same seed and number, and writes its bytes
playing.py    holds a case's conversation with a service
answers.py    reads what came back
watching.py   what must hold meanwhile and afterwards: the log, the others, what the worker holds
"""

"""What the generated service costs, beside Flask-SocketIO as it is usually served and beside Node.

``make bench`` runs it; docs/operations.md has the tables that it printed.
"""

"""The commands: one file each, and the server and the configuration that they share.

Prefect and MLflow read their settings from the environment when they are imported; so they are made private and quiet
here, before any module of this package imports them.
"""

from flows import server
from tasks import tracking

server.quieten()
tracking.quieten()

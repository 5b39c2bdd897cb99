"""What a server says of itself to the programs of its state directory."""

from mimocode.wire.base import Wire


class ServerFile(Wire):
    """Is written when it listens.

    An `embedded` one lives as long as the command that started it. `certificate` is the file of the one it shows.
    """

    url: str
    pid: int
    db: str = ""
    embedded: bool = False
    certificate: str | None = None

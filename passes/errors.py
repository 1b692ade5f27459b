"""The one error that a pass raises."""


class UnsupportedNode(Exception):
    """A node that cannot be converted: its name, why, and what the user can do.

    ``exit_code`` is what the command line returns: 3, the model is unsupported.
    """

    exit_code: int = 3

    def __init__(self, node: str, op: str, reason: str, way_out: str) -> None:
        super().__init__(f"node '{node}' ({op}): {reason}; {way_out}")
        self.node, self.op, self.reason, self.way_out = node, op, reason, way_out

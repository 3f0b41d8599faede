"""An engine that counts what is read of its journal."""

from annexd.workflow import Engine, State


class Counting(Engine):
    """Counts how often a workflow is read as a whole."""

    reads = 0

    def state(self, command_id: str) -> State:
        self.reads += 1
        return super().state(command_id)

"""An engine that counts the reads of its journal."""

from annexd.workflow import Engine, State


class Counting(Engine):
    """Counts how often a whole workflow is read."""

    reads = 0

    def state(self, command_id: str) -> State:
        self.reads += 1
        return super().state(command_id)

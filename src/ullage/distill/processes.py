"""Several processes that train one student: `accelerate launch` starts them, each runs all of this.

The first one speaks, locks, asks the teacher, measures and writes; the others wait for what it
comes to, and train beside it. Importing this needs no torch.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from ullage.errors import UllageError

T = TypeVar("T")

_WAIT = timedelta(days=7)
"""For the first process: a teacher may take its time to answer."""


@dataclass(frozen=True, slots=True)
class Processes:
    """Those that were started together, seen from one of them."""

    rank: int = 0
    size: int = 1

    @classmethod
    def of_environment(cls) -> Processes:
        """As `accelerate launch` and `torchrun` say."""
        return cls(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))

    @property
    def is_first(self) -> bool:
        """Whether this one speaks and writes."""
        return self.rank == 0

    def first(self, work: Callable[[], T]) -> T:
        """What the first process comes to, in every process.

        Args:
            work: called in the first process alone; what it returns must survive the way to the
                others.

        Raises:
            UllageError: what the first process raised, in every process.
        """
        if self.size == 1:
            return work()
        # Sent between processes of one run that trust each other; nothing of it is kept.
        box: list[Any] = [None, None]
        if self.is_first:
            try:
                box[0] = work()
            except UllageError as error:
                box[1] = error
        self._meet()
        from accelerate.utils import broadcast_object_list

        broadcast_object_list(box)
        if box[1] is not None:
            raise box[1]
        done: T = box[0]
        return done

    def part(self) -> None:
        """Let go of each other in order."""
        if self.size == 1:
            return
        import torch.distributed as dist

        if dist.is_initialized():
            dist.destroy_process_group()

    def leave(self) -> None:
        """End this process, which has done its work, without taking the interpreter down.

        What torch still runs in threads of its own can abort a process of several while the
        interpreter goes (seen with gloo, though rarely), and the launcher takes that
        for a failure of all. Alone, this does nothing.
        """
        if self.size == 1:
            return
        # Trackers write their last lines there.
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)

    @staticmethod
    def _meet() -> None:
        import torch
        from accelerate import PartialState
        from accelerate.utils import DistributedType

        # The first to ask decides for the Trainer as well.
        state = PartialState(cpu=not torch.cuda.is_available(), timeout=_WAIT)
        assert state.distributed_type != DistributedType.NO  # noqa: S101 - there are others


ALONE = Processes()
"""One process, as usual."""

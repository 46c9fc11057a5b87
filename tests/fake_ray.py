"""A stand-in for Ray, in this process: tasks take steps when somebody waits, actors answer at once."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any


class ActorError(Exception):
    """An actor is gone."""


class Died(BaseException):
    """Raised in an actor: it ends at once."""


@dataclass(eq=False)
class Ref:
    """A result, or what is still to be done for it."""

    value: Any = None
    error: Exception | None = None
    steps: Generator[None, None, Any] | None = None
    ready: bool = True

    def future(self) -> Any:
        return SimpleNamespace(result=lambda: self.value)

    def step(self) -> None:
        if self.steps is None or self.ready:
            return
        try:
            next(self.steps)
        except StopIteration as end:
            self.value, self.ready = end.value, True
        except Exception as error:
            self.error, self.ready = error, True


@dataclass(eq=False)
class Handle:
    """An actor; each of its methods answers at once."""

    actor: Any
    killed: bool = False

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Ref:
            if self.killed:
                return Ref(error=ActorError("The actor died."))
            try:
                return Ref(getattr(self.actor, name)(*arguments))
            except Died:
                self.killed = True
                return Ref(error=ActorError("The actor died."))

        return SimpleNamespace(remote=call)


@dataclass
class Remote:
    """A class or a generator function that runs elsewhere."""

    ray: FakeRay
    thing: Callable[..., Any]
    options_: dict[str, Any] = field(default_factory=dict)

    def options(self, **options: Any) -> Remote:
        return Remote(self.ray, self.thing, options)

    def remote(self, *arguments: Any) -> Any:
        if isinstance(self.thing, type):
            handle = Handle(self.thing(*arguments))
            self.ray.actors.append(handle)
            return handle
        ref = Ref(steps=self.thing(*arguments), ready=False)
        self.ray.tasks.append((self.options_, ref))
        return ref


class FakeRay:
    """The part of Ray that is used.

    Args:
        slots: tasks that take steps at a time; the others wait.
    """

    exceptions = SimpleNamespace(RayActorError=ActorError)
    util = SimpleNamespace(
        scheduling_strategies=SimpleNamespace(NodeAffinitySchedulingStrategy=lambda node, soft: node)
    )

    def __init__(self, slots: int = 2) -> None:
        self.slots = slots
        self.alive = {"n1": True, "n2": True}
        self.tasks: list[tuple[dict[str, Any], Ref]] = []
        self.actors: list[Handle] = []
        self.canceled: list[Ref] = []

    def remote(self, thing: Callable[..., Any]) -> Remote:
        return Remote(self, thing)

    def get(self, ref: Ref) -> Any:
        if ref.error is not None:
            raise ref.error
        return ref.value

    def wait(self, refs: Sequence[Ref], num_returns: int, timeout: float) -> tuple[list[Ref], list[Ref]]:
        for _, ref in [task for task in self.tasks if not task[1].ready][: self.slots]:
            ref.step()
        return [ref for ref in refs if ref.ready], [ref for ref in refs if not ref.ready]

    def cancel(self, ref: Ref, force: bool) -> None:
        self.canceled.append(ref)

    def kill(self, handle: Handle) -> None:
        handle.killed = True

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {"Alive": alive, "NodeID": node, "NodeManagerHostname": node, "Resources": {"CPU": 1.0}}
            for node, alive in self.alive.items()
        ]

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(get_node_id=lambda: "n1")

"""What an audit has spent, and the limits it may not pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ullage.collect.journal import usage_of
from ullage.config.models import Budget, Price
from ullage.errors import InfrastructureError
from ullage.models.types import Answer, Failure


def cost(price: Price, prompt_tokens: int, completion_tokens: int) -> float:
    """Money for tokens, in the budget's currency."""
    return (
        prompt_tokens * price.input_per_million + completion_tokens * price.output_per_million
    ) / 1e6


class Spending:
    """Running totals of requests, tokens and money, earlier runs of the same folder included."""

    def __init__(self, budget: Budget, prices: Mapping[str, Price]) -> None:
        """Start from nothing spent; `prices` maps model identity to price."""
        self._budget = budget
        self._prices = prices
        self.requests = 0
        self.tokens = 0
        self.money = 0.0

    def add(self, identity: str, answer: Answer) -> None:
        """Count one answered request. A failure counts as a request: it may have been billed."""
        prompt, completion = usage_of(answer)
        self.requests += 1
        self.tokens += prompt + completion
        self.money += cost(self._prices.get(identity, Price()), prompt, completion)

    def add_earlier(self, answers: Iterable[tuple[str, Answer]]) -> None:
        """Count what a journal already holds, so that resuming does not renew a budget."""
        for identity, answer in answers:
            if not isinstance(answer, Failure):
                self.add(identity, answer)

    @property
    def limited(self) -> bool:
        """Whether any limit is set at all."""
        budget = self._budget
        return any(limit is not None for limit in (budget.requests, budget.tokens, budget.money))

    def allowance(self) -> int | None:
        """Requests that may still be sent; None for no limit.

        Raises:
            InfrastructureError: a limit is reached.
        """
        budget = self._budget
        spent = (
            ("requests", budget.requests, self.requests),
            ("tokens", budget.tokens, self.tokens),
            ("money", budget.money, self.money),
        )
        for name, limit, used in spent:
            if limit is not None and used >= limit:
                raise InfrastructureError(
                    f"budget.{name}: {used:,.6g} of {limit:,.6g} is spent; raise it (for example "
                    f"-o budget.{name}={limit * 2:g}) and run the same command again, nothing "
                    "answered is asked twice"
                )
        return None if budget.requests is None else budget.requests - self.requests

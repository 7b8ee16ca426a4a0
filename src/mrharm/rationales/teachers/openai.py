"""The ``openai`` teacher: a model behind any OpenAI-compatible endpoint, through the ledger of paid calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mrharm.errors import InputError
from mrharm.llm import CallError, Completion, Estimate, HostedClient, Request, settings_for
from mrharm.rationales.prompting import MAX_TOKENS
from mrharm.rationales.teachers import Question


class HostedTeacher:
    """Asks a hosted model. It takes pictures where the model does; one that does not says so itself.

    ``client``: None for one with the user's ledger, endpoint and key, and no budget; ``concurrency``: questions at a
    time; ``batch``: ask by the provider's batch service, at half the price, within a day. Raises InputError where
    no model is named.
    """

    reads_prompt = True
    sees_pictures = True

    def __init__(
        self,
        model: str | None,
        *,
        client: HostedClient | None = None,
        concurrency: int = 8,
        batch: bool = False,
    ) -> None:
        if not model:
            raise InputError("a hosted teacher wants a model: openai:MODEL, for example openai:gpt-4o-mini")
        self.name = f"openai:{model}"
        self._model = model
        self._client = client or HostedClient()
        self._concurrency = concurrency
        self.batch = batch

    def answer(self, questions: Iterable[Question]) -> Iterator[tuple[int, Completion | CallError]]:
        """Answer as `Teacher.answer`; raises what `HostedClient.complete_many` raises."""
        requests = (self.request(question) for question in questions)
        if self.batch:
            yield from self._client.complete_batch(requests)
        else:
            yield from self._client.complete_many(requests, self._concurrency)

    def estimate(self, questions: Iterable[Question]) -> Estimate:
        """Estimate what asking would take, without a call."""
        return self._client.estimate((self.request(question) for question in questions), batch=self.batch)

    def request(self, question: Question) -> Request:
        """Build the request of a question, with the settings this model takes."""
        settings = dict(question.settings)
        defaults = settings_for(self._model, settings.pop("max_tokens", MAX_TOKENS))
        if "temperature" not in defaults:  # a model that takes none
            settings.pop("temperature", None)
        return Request(question.messages, self._model, {**defaults, **settings}, question.parts)

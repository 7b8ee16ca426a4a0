"""The ``hf`` teacher: a local text or vision-language model, through transformers, in batches."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

from mrharm.errors import ImageError, InputError
from mrharm.hub import load_or_explain, load_weights, model_version, pick_device, split_revision
from mrharm.images import decode
from mrharm.llm import CallError, Completion, Request
from mrharm.rationales.teachers import Question
from mrharm.rationales.teachers.chat_templates import Chats

MAX_TOKENS = 256  # of an answer, as the paper's teacher had


@dataclass(frozen=True)
class _EncodedQuestion:
    """A `Question` as the model takes it."""

    key: str
    text: str
    pictures: list[Image.Image]
    max_tokens: int
    temperature: float = 0.0


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory, with what turns messages into its tokens and its tokens into words."""

    model: Any
    front: Any  # the processor of a vision-language model, else the tokenizer
    tokenizer: Any
    chats: Chats
    stops: frozenset[int]  # tokens that end an answer
    longest: int | None  # tokens it can read and write in all


class LocalTeacher:
    """A chat model from a local folder or the hub (``MODEL`` or ``MODEL@REVISION``), in bf16 on a GPU that has it.

    It answers greedily, or with a ``temperature`` above 0 by a draw that follows from the question: asked again it says
    the same, and questions that differ in their ``parts`` (a sample's number) are drawn apart. In fp32 an answer does
    not depend on the others in its batch (in bf16 the last bits of a score may). Nothing forces an answer into a
    ``response_format``: the prompt asks for it and the gate checks it. Thoughts are no part of an answer.

    ``batch_size``: questions at a time; a batch too large for the memory is halved. Raises InputError where no model is
    named.
    """

    reads_prompt = True

    def __init__(self, what: str | None, *, batch_size: int = 8, device: str = "auto") -> None:
        if not what:
            raise InputError(
                "a local teacher wants a model: hf:Qwen/Qwen2.5-7B-Instruct, or hf:FOLDER (an instruct model's)"
            )
        self._source, revision = split_revision(what)
        self._place = {"trust_remote_code": False, "revision": revision or "main"}
        self.name = f"hf:{model_version(self._source, revision)}"
        self.batch_size = batch_size
        self._device = device

    @cached_property
    def sees_pictures(self) -> bool:
        """Whether it is a vision-language model: known from its configuration, without its weights.

        Raises:
            ModelUnavailableError: no such folder, and no hub in reach.
            InputError: a model that does not chat, or of no family that transformers knows.
        """
        from transformers.models.auto import modeling_auto as auto

        config, family = self._config, self._config.model_type
        seeing = auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
        reading = auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
        # Some families have both kinds under one ``model_type``; the class that was saved tells.
        kind = (getattr(config, "architectures", None) or [""])[0]
        sees = kind in seeing.values() or (kind not in reading.values() and family in seeing)
        reads = kind in reading.values() or family in reading
        if not (sees or reads) or getattr(config, "is_encoder_decoder", False):
            raise InputError(
                f"{self._source}: a {family} model; expected an instruct model that writes text (Llama, Qwen, "
                "Gemma ...) or one that sees and writes (Qwen-VL, LLaVA ...)"
            )
        return bool(sees)

    def answer(self, questions: Iterable[Question]) -> Iterator[tuple[int, Completion | CallError]]:
        """Answer as `Teacher.answer`, batch by batch.

        Raises:
            ModelUnavailableError: no such folder, and no hub in reach.
            InputError: a model that does not chat or has no chat template, a picture for one that sees none, or no
                such device.
            DataError: the weights are not whole.
        """
        numbered = enumerate(questions)
        while batch := list(islice(numbered, self.batch_size)):
            answers: dict[int, Completion | CallError] = {}
            encoded: dict[int, _EncodedQuestion] = {}
            for index, question in batch:
                try:
                    encoded[index] = self._encode(question)
                except CallError as error:
                    answers[index] = error
            answers.update(zip(encoded, self._complete(list(encoded.values())), strict=True))
            yield from sorted(answers.items())

    def _encode(self, question: Question) -> _EncodedQuestion:
        settings = {"max_tokens": MAX_TOKENS, **question.settings}
        dtype = str(self._loaded.model.dtype).removeprefix("torch.")
        key = Request(question.messages, self.name, {**settings, "dtype": dtype}, question.parts).key
        text, pictures = self._loaded.chats.text(question.messages)
        try:
            images = [
                decode(base64.b64decode(picture.url().partition(",")[2]), "the picture")
                for picture in pictures
            ]
        except (ImageError, ValueError) as error:
            raise CallError(str(error), "bad_request") from None
        return _EncodedQuestion(key, text, images, settings["max_tokens"], settings.get("temperature", 0.0))

    def _complete(self, questions: list[_EncodedQuestion]) -> list[Completion | CallError]:
        """Complete each question; a batch that fails is halved, so that what fails at last fails alone."""
        import torch

        if not questions:
            return []
        try:
            return self._generate(questions)
        except CallError as error:
            failure = error.with_traceback(None)
        except Exception as error:  # whatever one question, or too little memory, raises in a library
            reason = f"{type(error).__name__}: {str(error)[:160]}"
            failure = CallError(f"the model failed ({reason})", "server_error")
        # Out here the error is gone, and with it the tensors that its frames held.
        if len(questions) == 1:
            return [failure]
        torch.cuda.empty_cache()  # nothing is done where there is no GPU
        half = len(questions) // 2
        return self._complete(questions[:half]) + self._complete(questions[half:])

    def _generate(self, questions: Sequence[_EncodedQuestion]) -> list[Completion | CallError]:
        import torch
        from transformers import GenerationConfig, LogitsProcessorList

        model, longest = self._loaded.model, self._loaded.longest
        inputs = self._inputs(questions)
        prompts = inputs["attention_mask"].sum(1).tolist()
        most = max(question.max_tokens for question in questions)
        if longest and max(prompts) + most > longest:
            raise CallError(
                f"{max(prompts):,} tokens to read and {most:,} to write; the model has room for {longest:,}",
                "bad_request",
            )
        greedy = GenerationConfig(max_new_tokens=most, do_sample=False, num_beams=1)
        with torch.inference_mode():
            tokens = model.generate(
                **inputs, generation_config=greedy, logits_processor=LogitsProcessorList([Draws(questions)])
            )
        width = inputs["input_ids"].shape[1]
        return [
            self._read(question, prompt, row[width:].tolist())
            for question, prompt, row in zip(questions, prompts, tokens, strict=True)
        ]

    def _inputs(self, questions: Sequence[_EncodedQuestion]) -> dict[str, Any]:
        """Return tokens ``(batch, length)``, their mask, and what a processor makes of the pictures."""
        loaded = self._loaded
        texts = [question.text for question in questions]
        options: dict[str, Any] = {"add_special_tokens": False, "return_token_type_ids": False}
        if self.sees_pictures:
            images = [question.pictures for question in questions]
            # Templates of processors may leave the token of the beginning to the tokenizer.
            begun = texts[0].startswith(loaded.tokenizer.bos_token or "\0")
            options = {"add_special_tokens": not begun, "images": images if any(images) else None}
        inputs = loaded.front(text=texts, padding=True, padding_side="left", return_tensors="pt", **options)
        device, dtype = loaded.model.device, loaded.model.dtype
        return {
            name: value.to(device, dtype) if value.is_floating_point() else value.to(device)
            for name, value in inputs.items()
        }

    def _read(self, question: _EncodedQuestion, prompt: int, tokens: list[int]) -> Completion | CallError:
        """Decode an answer's tokens, up to its end or its limit."""
        loaded = self._loaded
        tokens = tokens[: question.max_tokens]
        end = next((place for place, token in enumerate(tokens) if token in loaded.stops), None)
        written = tokens if end is None else tokens[: end + 1]
        raw = loaded.tokenizer.decode(written)
        text = loaded.tokenizer.decode(written, skip_special_tokens=True)
        if loaded.chats.thinks:
            text = text.rpartition("</think>")[2]
        if not text.strip():
            why = "it was cut before a word; raise max_tokens" if end is None else "it ended at once"
            return CallError(f"an answer without words ({why})", "empty", raw)
        usage = {"prompt_tokens": prompt, "completion_tokens": len(written)}
        usage["total_tokens"] = prompt + len(written)
        finish = "length" if end is None else "stop"
        return Completion(text.strip(), usage, raw, finish, False, None, question.key)

    @cached_property
    def _config(self) -> Any:
        import transformers

        def load() -> Any:
            try:
                return transformers.AutoConfig.from_pretrained(self._source, **self._place)
            except ValueError as error:
                if not Path(self._source, "config.json").is_file():
                    raise
                raise InputError(
                    f"{self._source}: no family of models that transformers knows ({str(error)[:120]}); code that "
                    "comes with a model is never run"
                ) from None

        return load_or_explain(self._source, load)

    @cached_property
    def _loaded(self) -> LoadedModel:
        import torch
        import transformers

        source, sees, device = self._source, self.sees_pictures, pick_device(self._device)
        front_kind = transformers.AutoProcessor if sees else transformers.AutoTokenizer
        front = load_or_explain(source, lambda: front_kind.from_pretrained(source, **self._place))
        tokenizer = front.tokenizer if sees else front
        chats = Chats(front, tokenizer, source)
        kind = transformers.AutoModelForImageTextToText if sees else transformers.AutoModelForCausalLM
        half = device.type == "cuda" and torch.cuda.is_bf16_supported()
        dtype = torch.bfloat16 if half else torch.float32
        model = load_weights(source, kind, device, dtype=dtype, **self._place)
        stops: set[int] = set()
        for ends in (model.generation_config.eos_token_id, tokenizer.eos_token_id):
            stops |= {ends} if isinstance(ends, int) else set(ends or ())
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        # Not the maker's: sampling, and penalties that would make an answer depend on its batch.
        model.generation_config = transformers.GenerationConfig(
            eos_token_id=sorted(stops) or None, pad_token_id=tokenizer.pad_token_id
        )
        longest = getattr(self._config.get_text_config(), "max_position_embeddings", None)
        return LoadedModel(model, front, tokenizer, chats, frozenset(stops), longest)


class Draws:
    """Makes each greedy choice of a token a draw, for the questions of a batch that have a temperature.

    The argmax of ``score / temperature`` plus Gumbel noise falls on each token as often as their softmax says (the
    Gumbel-max trick: Maddison et al., "A* Sampling", NeurIPS 2014). Each question's noise has a generator of its own,
    seeded by its key, so that its answer depends neither on its batch nor on what was asked before it.
    """

    def __init__(self, questions: Sequence[_EncodedQuestion]) -> None:
        import torch

        self._drawn = [
            (row, question.temperature, torch.Generator().manual_seed(int(question.key[:16], 16)))
            for row, question in enumerate(questions)
            if question.temperature
        ]

    def __call__(self, tokens: Any, scores: Any) -> Any:
        """Scores of the next token -> scores whose argmax is drawn. *Shape of both:* (questions, vocabulary)"""
        import torch

        scores = scores.clone()
        for row, temperature, generator in self._drawn:
            waits = torch.empty(scores.shape[1]).exponential_(generator=generator)
            # Minus the logarithm of an exponential wait is Gumbel noise; a wait of 0 would be an infinite one.
            scores[row] = scores[row] / temperature - waits.clamp_min(1e-38).log().to(scores)
        return scores

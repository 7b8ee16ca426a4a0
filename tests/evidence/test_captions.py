"""What every captioner promises, and what each kind of its own."""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from mrharm.errors import DataError, InputError, MissingInputError, ModelUnavailableError
from mrharm.evidence.captions import CAPTIONERS, Captioner
from mrharm.evidence.captions.hosted import HostedCaptions
from mrharm.evidence.captions.local import FAMILIES, LocalCaptions
from mrharm.evidence.captions.recorded import RecordedCaptions
from mrharm.images import decode
from mrharm.llm import PICTURE_SIDE, AuthorizationError, CallError, HostedClient, load_prompt
from mrharm.records import Evidence, to_line
from tests.evidence.captioners import MAKERS, colours, described
from tests.stub_server import Reply, StubServer

PICTURE = described(Image.new("RGB", (60, 40), "teal"))


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-real-key-0123456789")
    monkeypatch.setenv("MRHARM_LEDGER", str(tmp_path / "ledger.sqlite"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: make(tmp_path_factory.mktemp(name)) for name, make in MAKERS.items()}


@pytest.fixture(params=["recorded", "hf blip", "hf florence2", "openai"])
def captioner(
    request: pytest.FixtureRequest,
    models: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Captioner]:
    """A captioner of every row, made as `mrharm gather --captions NAME:ARGUMENT` makes it."""
    row, _, family = request.param.partition(" ")
    kind = CAPTIONERS.load(row)
    if row == "openai":
        with StubServer(lambda question: Reply("a plain square")) as server:
            monkeypatch.setenv("OPENAI_BASE_URL", server.url)
            yield kind("stub-model")
    elif row == "hf":
        yield kind(str(models[family]))
    else:
        file = tmp_path / "captions.json"
        file.write_text(json.dumps({f"m{number}": f"square {number}" for number in range(20)}))
        yield kind(str(file))


def test_every_row_is_tried_by_the_tests_of_the_contract() -> None:
    assert {"recorded", "hf", "openai"} <= set(CAPTIONERS.names())
    assert set(MAKERS) == set(FAMILIES)


def test_a_caption_comes_for_each_picture_in_order_alone_or_in_company(captioner: Captioner) -> None:
    pictures = colours(11)
    captions = captioner.describe(pictures)
    assert len(captions) == 11
    assert all(isinstance(caption, str) and caption == caption.strip() != "" for caption in captions)
    assert captioner.describe(pictures[::-1]) == captions[::-1]
    assert captioner.describe(pictures[3:4]) == captions[3:4]
    assert captioner.describe([]) == []
    assert captioner.version and captioner.batch_size >= 1


def test_what_cannot_be_described_takes_no_other_with_it(captioner: Captioner) -> None:
    whole, nothing = colours(2)[0], described(None, "unknown")
    first, failed, last = captioner.describe([whole, nothing, whole])
    assert isinstance(first, str) and first == last
    assert isinstance(failed, MissingInputError) and "unknown" in str(failed)


# recorded


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "a cat", "7": "a dog", "blank": " ", "none": null}',
        '{"id": "a", "caption": "a cat"}\n\n{"id": 7, "caption": "a\\n dog"}\n{"id": "none"}\n',
        '{"a": "a cat"}\n{"7": "a dog"}\n',
        "\ufeff"
        + "\n".join(
            to_line(Evidence(meme_id=name, text="you", caption=caption))
            for name, caption in (("a", "a cat"), ("7", "a dog"), ("none", None))
        ),
    ],
)
def test_recorded_captions_are_read_from_json_and_json_lines(tmp_path: Path, text: str) -> None:
    file = tmp_path / "captions"
    file.write_text(text, encoding="utf-8")
    captions = RecordedCaptions(str(file)).describe(
        [described(None, name) for name in ("7", "a", "none", "blank")]
    )
    assert captions[:2] == ["a dog", "a cat"]
    assert all(isinstance(caption, MissingInputError) for caption in captions[2:])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[1]", "expected an object"),
        (b'{"a": "x"}\n{"b": ', "line 2: not JSON"),
        (b'{"a": 7}', "expected an id and its caption"),
        (b'{"id": "a", "caption": "x"}\n{"id": "a", "caption": "y"}', "line 2: a second caption for 'a'"),
        (b"\xff", "not UTF-8"),
        (b'{"a": "\\ud800"}', "not JSON"),
    ],
)
def test_a_file_that_holds_no_captions_is_refused_with_its_line(
    tmp_path: Path, content: bytes, says: str
) -> None:
    file = tmp_path / "captions.jsonl"
    file.write_bytes(content)
    with pytest.raises(DataError, match=says):
        RecordedCaptions(str(file))
    with pytest.raises(InputError, match="cannot be read"):
        RecordedCaptions(str(tmp_path / "none"))


def test_other_recorded_captions_are_another_version_and_without_a_file_there_are_none(
    tmp_path: Path,
) -> None:
    versions = set()
    for caption in ("a cat", "a dog"):
        (tmp_path / "captions.json").write_text(json.dumps({"a": caption}))
        versions.add(RecordedCaptions(str(tmp_path / "captions.json")).version)
    assert len({*versions, RecordedCaptions().version}) == 3
    (failed,) = RecordedCaptions().describe([PICTURE])
    assert isinstance(failed, MissingInputError) and "no caption recorded" in str(failed)


# local


@pytest.mark.parametrize("family", MAKERS)
def test_a_local_model_looks_at_each_picture_and_fails_on_one_alone(
    models: dict[str, Path], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    captioner = LocalCaptions(str(models[family]))
    generate = captioner._generate
    assert len(set(map(str, captioner.describe(colours())))) == 5

    def choking(images: list[Image.Image]) -> list[str]:
        if any(image.size == (1, 1) for image in images):
            raise RuntimeError("out of memory")
        return generate(images)

    monkeypatch.setattr(captioner, "_generate", choking)
    results = captioner.describe(colours())
    assert [isinstance(result, str) for result in results] == [True, False, True, True, True]
    assert isinstance(results[1], DataError) and "out of memory" in str(results[1])
    monkeypatch.setattr(captioner, "_generate", lambda images: [" \n"] * len(images))
    assert all(isinstance(result, DataError) for result in captioner.describe(colours()))


def test_a_model_of_another_family_or_none_and_a_missing_prompt_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(InputError, match="a t5 model; captions are made by: blip, florence2"):
        LocalCaptions(str(tmp_path)).describe([PICTURE])
    for captioner in (LocalCaptions, HostedCaptions):
        with pytest.raises(InputError, match="want a model"):
            captioner(None)
    with pytest.raises(InputError, match=r"caption\.v1"):
        HostedCaptions("m", prompt="caption.v99")


def test_a_captioner_out_of_reach_is_an_error_that_gathering_goes_on_from(tmp_path: Path) -> None:
    for model in ("Nobody/nothing", "Nobody/nothing@abc", str(tmp_path)):
        with pytest.raises(
            ModelUnavailableError, match=r"name a local folder|no complete model in this folder"
        ):
            LocalCaptions(model).describe([PICTURE])
    with StubServer() as server:
        pass
    with pytest.raises(ModelUnavailableError, match="no connection"):
        hosted(server).describe(colours())


def test_a_local_model_with_other_weights_is_another_version(models: dict[str, Path], tmp_path: Path) -> None:
    copy = shutil.copytree(models["blip"], tmp_path / models["blip"].name)
    version = LocalCaptions(str(models["blip"])).version
    assert LocalCaptions(str(copy)).version == version
    weights = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    assert LocalCaptions(str(copy)).version != version
    assert LocalCaptions("a/b@r1").version != LocalCaptions("a/b@r2").version


def test_captioners_are_made_without_importing_torch_or_openai() -> None:
    code = (
        "import sys; from mrharm.evidence.captions import CAPTIONERS\n"
        "for name, argument in (('recorded', None), ('hf', 'a/b'), ('openai', 'm')): CAPTIONERS.load(name)(argument)\n"
        "assert not {'torch', 'transformers', 'openai'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# hosted


def hosted(server: StubServer, prompt: str = "caption.v1") -> HostedCaptions:
    client = HostedClient(base_url=server.url)
    client.attempts, client._pause = 2, lambda event, seconds: None
    return HostedCaptions("stub-model", prompt=prompt, client=client)


def sent_picture(server: StubServer, number: int = -1) -> bytes:
    url = server.requests[number]["messages"][-1]["content"][1]["image_url"]["url"]
    kind, _, data = url.partition(";base64,")
    assert kind in ("data:image/png", "data:image/jpeg")
    return base64.b64decode(data)


def test_a_picture_is_described_once_whatever_its_container_and_run(tmp_path: Path) -> None:
    same = []
    for container in ("PNG", "BMP"):
        buffer = io.BytesIO()
        assert PICTURE.image
        PICTURE.image.save(buffer, container)
        same.append(described(decode(buffer.getvalue()), container))
    with StubServer([Reply("a teal square")]) as server:
        for _ in range(2):
            assert hosted(server).describe([*same, PICTURE]) == ["a teal square"] * 3
        assert server.paid.total() == 1
        assert hosted(server).describe(colours(2)) == ["a teal square"] * 2
    assert server.paid.total() == 3


def test_the_model_sees_the_picture_small_and_no_word_of_the_meme() -> None:
    noise = Image.effect_noise((2400, 1600), 90).convert("RGB")
    noise.info["comment"] = b"from my phone"
    pictures = [noise, Image.new("RGB", (9000, 2), "red"), noise.resize((50, 40))]
    with StubServer([Reply("a square")]) as server:
        for picture in pictures:
            hosted(server).describe([described(picture)])
        sent = [sent_picture(server, number) for number in range(3)]
        everything = json.dumps(server.requests)
    sizes = [(PICTURE_SIDE, PICTURE_SIDE * 2 // 3), (PICTURE_SIDE, 1), (50, 40)]
    assert [decode(data).size for data in sent] == sizes
    assert len(sent[0]) < 700_000 and b"from my phone" not in sent[0]
    assert "cheese" not in everything
    assert [message["role"] for message in server.requests[0]["messages"]] == ["system", "user"]


@pytest.mark.parametrize(
    ("reply", "error", "says"),
    [
        (Reply(" "), CallError, "without words"),
        (Reply('""'), DataError, "said nothing"),
        (Reply(text=None, finish="content_filter"), CallError, "refused"),
        (Reply("I'm sorry, but I can't help with that."), CallError, "refused"),
        (Reply("I\u2019m unable to describe people."), CallError, "refused"),
        (Reply("As an AI, I do not see."), CallError, "refused"),
        (Reply("word " * 200), DataError, "at most 500"),
        (Reply("a cat on", finish="length"), DataError, "was cut"),
        (Reply(status=400), CallError, "400"),
        (Reply(status=500), CallError, "500"),
        (Reply(body=b"{}"), CallError, "expected a chat completion"),
    ],
)
def test_an_answer_that_is_no_caption_is_a_failure_and_never_an_empty_caption(
    reply: Reply, error: type[Exception], says: str
) -> None:
    with StubServer([reply]) as server:
        (result,) = hosted(server).describe([PICTURE])
    assert type(result) is error and says in str(result)


def test_a_caption_is_tidied_and_may_speak_of_sorrow() -> None:
    for said in ('  "A sorry cat\n cannot reach\tits mat."', "A sorry cat cannot reach its mat."):
        with StubServer([Reply(said)]) as server:
            (caption,) = hosted(server).describe([described(Image.new("RGB", (9, len(said))))])
        assert caption == "A sorry cat cannot reach its mat."


@pytest.mark.parametrize("key", ["entities", "demographics"])
def test_words_for_input_augmentation_are_checked_json(key: str) -> None:
    answers = {
        f'{{"{key}": ["Big  Ben", "London", "London", " "]}}': "Big Ben, London",
        f'```json\n{{"{key}": []}}\n```': "",
    }
    wrong = ["Big Ben", "[]", '{"other": []}', f'{{"{key}": "Big Ben"}}', f'{{"{key}": [7]}}', "{" * 9999]
    wrong += [json.dumps({key: ["long " * 40]}), json.dumps({key: [str(number) for number in range(30)]})]
    for number, answer in enumerate([*answers, *wrong]):
        picture = described(Image.new("RGB", (5, 5 + number)))
        with StubServer([Reply(answer)]) as server:
            (result,) = hosted(server, f"{key}.v1").describe([picture])
            assert server.requests[0]["response_format"] == {"type": "json_object"}
            # OpenAI refuses JSON mode where no message says so.
            assert "JSON" in server.requests[0]["messages"][-1]["content"][0]["text"]
        if answer in answers:
            assert result == answers[answer]
        else:
            assert isinstance(result, DataError) and f'expected {{"{key}"' in str(result)


@pytest.mark.parametrize(
    ("name", "sha256"),
    [
        ("caption.v1", "e684775496ab4026"),
        ("entities.v1", "11d6ee5018bc1bbb"),
        ("demographics.v1", "3f3f894a23b15c11"),
    ],
)
def test_published_prompts_are_never_edited_and_the_version_names_theirs(name: str, sha256: str) -> None:
    # A change here is a mistake: new wording is a new file, caption.v2.jinja.
    assert load_prompt("mrharm.evidence", name).sha256.startswith(sha256)
    version = HostedCaptions("m", prompt=name).version
    assert version == f"openai:m/{name}@{sha256[:12]}/{PICTURE_SIDE}px"


def test_answers_before_an_error_that_stops_all_are_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mrharm.evidence.captions.hosted.CONCURRENCY", 1)
    with StubServer([Reply("a square"), Reply(status=401)]) as server:
        captioner = HostedCaptions("stub-model", client=HostedClient(base_url=server.url))
        first, *others = captioner.describe(colours())
        assert first == "a square"
        assert all(isinstance(other, AuthorizationError) for other in others)
        with pytest.raises(AuthorizationError):
            captioner.describe(colours()[1:])


def test_a_budget_bounds_captions(tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("stand-in: {input: 1, output: 1, picture: 1000}", encoding="utf-8")
    pictures = [described(Image.new("RGB", (5, 5 + number))) for number in range(80)]
    with StubServer([Reply("a square")]) as server:
        client = HostedClient(base_url=server.url, prices=prices, budget=0.004)
        results = HostedCaptions("stand-in", client=client).describe(pictures)
        assert server.paid.total() * 70e-6 <= client.spent <= 0.004
    assert any(isinstance(result, str) for result in results)
    assert any(isinstance(result, CallError) and result.kind == "over_budget" for result in results)

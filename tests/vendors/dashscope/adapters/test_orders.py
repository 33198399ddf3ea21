"""Whatever comes late, twice or in another order: every commit has one answer, every sentence one result.

Each test goes through all orders of a few messages; where there are too many, through some that a seed chooses.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import pytest

from asrgateway_server.backends.adapter import Output, Send
from asrgateway_server.backends.base import Commit
from asrgateway_server.call.audio_log import Mark
from asrgateway_server.call.responses import Result
from asrgateway_server.call.results import OpenCommit, Results
from asrgateway_server.config import AudioFormat, ManualEndpointing, RecognitionConfig
from asrgateway_server.events import CommitEmpty, FinalResult, Finished, InterimResult, SpeechStarted
from asrgateway_server.vendors.dashscope.adapters.qwen3_asr import Qwen3AsrAdapter
from asrgateway_server.vendors.dashscope.adapters.run_task import RunTaskAdapter
from catalogues import WITH_KEY
from messages import final, finished, interim, started, word
from session_messages import committed, completed, created, error, item_created, text, updated
from session_messages import finished as session_finished

MODELS = WITH_KEY
SECOND = bytes(32_000)
SEED = 8
T = TypeVar("T")


def told(outputs: Sequence[Output]) -> list[Output]:
    return [output for output in outputs if not isinstance(output, Send)]


def answers(outputs: Sequence[Output]) -> list[Output]:
    """What answers a commit."""
    return [o for o in outputs if isinstance(o, CommitEmpty) or (isinstance(o, FinalResult) and o.is_forced)]


def finals(outputs: Sequence[Output]) -> list[str]:
    return [output.text for output in outputs if isinstance(output, FinalResult)]


def numbered(outputs: Sequence[Output]) -> list[Result]:
    """What a client reads of them."""
    results = Results(itertools.count(), 0)
    texts = [output for output in outputs if isinstance(output, InterimResult | FinalResult)]
    return [answer for answer in written(results, texts) if isinstance(answer, Result)]


def assert_in_order(results: Sequence[Result]) -> None:
    """Each index has its revisions, its promises and one final, and then comes the next."""
    utterances = [list(group) for _, group in itertools.groupby(results, key=lambda result: result.index)]
    assert [utterance[0].index for utterance in utterances] == list(range(len(utterances)))
    for utterance in utterances:
        assert [result.revision for result in utterance] == list(range(1, len(utterance) + 1))
        assert [result.is_final for result in utterance] == [False] * (len(utterance) - 1) + [True]
        for before, after in itertools.pairwise(utterance[:-1]):
            assert after.committed.startswith(before.committed)
    starts = [result.start_ms for result in results if result.start_ms is not None]
    assert starts == sorted(starts)


def some(orders: Iterator[T], count: int) -> list[T]:
    """Some of them, always the same."""
    found = list(orders)
    return found if len(found) <= count else random.Random(SEED).sample(found, count)


# Tasks: in their order, but late or twice ---------------------------------------------------------------------------

COMMIT = OpenCommit(at_ms=2000, mark=Mark(position_samples=32_000, number=1, item=Commit()))
ONE = [word("one", 100, 400, fixed=True), word(" bird", 400, 900)]
TWO = [word("two", 1200, 1500, fixed=True)]
SENTENCES = (
    interim("one bird", 100, words=ONE),
    final("One bird.", 100, 900),
    interim("two", 700, words=TWO),
    interim("two birds", 700),
    final("Two birds.", 700, 1900),
)


def with_repeats(messages: Sequence[str], count: int) -> Iterator[tuple[str, ...]]:
    """All orders in which so many of them come once more, at any time later."""
    if not count:
        yield tuple(messages)
        return
    for order in with_repeats(messages, count - 1):
        for first, message in enumerate(order):
            for place in range(first + 1, len(order) + 1):
                yield (*order[:place], message, *order[place:])


def running_task() -> RunTaskAdapter:
    config = RecognitionConfig(model=MODELS.find("fun-asr-realtime"), audio=AudioFormat(sample_rate_hertz=16_000))
    task = RunTaskAdapter(config, "task-1", {})
    task.start()
    task.receive(started())
    task.audio(SECOND)
    return task


def until_finished(task: RunTaskAdapter, messages: Sequence[str]) -> list[Output]:
    """What a task makes of messages, the last of which ends it."""
    outputs: list[Output] = []
    for message in messages:
        outputs += task.receive(message)
        if Finished(billed_ms=1000) in outputs:
            break
    return outputs


@pytest.mark.parametrize("place", range(len(SENTENCES) + 1))
def test_a_commit_anywhere_among_sentences_has_one_answer(place: int) -> None:
    """It ends the task, whose last sentence is the answer."""
    for order in some(with_repeats(SENTENCES, 2), 200):
        task, results = running_task(), Results(itertools.count(), 0)
        outputs = [output for message in order[:place] for output in task.receive(message)]
        shown: list[Result | CommitEmpty] = [*written(results, outputs)]
        task.finish()
        results.end_by_commit(COMMIT)
        rest = until_finished(task, (*order[place:], finished()))
        shown += [*written(results, rest), *results.task_ended()]
        assert finals([*outputs, *rest]) == ["One bird.", "Two birds."]
        assert len([one for one in shown if isinstance(one, CommitEmpty) or one.is_forced]) == 1
        assert rest[-1] == Finished(billed_ms=1000)
        assert_in_order([one for one in shown if isinstance(one, Result)])


def written(results: Results, outputs: Sequence[Output]) -> Iterator[Result | CommitEmpty]:
    """What is written of them."""
    for output in outputs:
        match output:
            case InterimResult():
                yield from results.interim(output)
            case FinalResult():
                yield from results.final(output, output.end_ms or 0)
            case SpeechStarted():
                yield from results.speech_started()


def test_sentences_that_are_numbered_are_known_by_their_number() -> None:
    messages = [
        message
        for number in (1, 2)
        for message in (
            interim("yes", 100, sentence_id=number),
            final("yes", 100, 900, sentence_id=number),
        )
    ]
    for order in with_repeats(messages, 1):
        task = running_task()
        outputs = [output for message in order for output in task.receive(message)]
        assert finals(outputs) == ["yes", "yes"]
        assert_in_order(numbered(outputs))


# Manual sessions: in any order --------------------------------------------------------------------------------------


def manual(*, commits: int) -> Qwen3AsrAdapter:
    """A session with so many commits, whose requests are ``event_c_3``, ``event_c_5`` and so on."""
    config = RecognitionConfig(
        model=MODELS.find("qwen3-asr-flash-realtime"),
        audio=AudioFormat(sample_rate_hertz=16_000),
        endpointing=ManualEndpointing(),
    )
    session = Qwen3AsrAdapter(config, "c")
    session.start()
    session.receive(created())
    session.receive(updated())
    for _ in range(commits):
        session.audio(SECOND)
        session.commit()
    return session


def item(name: str, *more: str) -> tuple[str, ...]:
    """What is said of an item."""
    return (committed(name), completed(f"{name}.", name), *more)


TOO_SMALL = "Error committing input audio buffer: buffer too small, or have no audio."


def refused(event_id: str | None) -> str:
    return error(code=None, message=TOO_SMALL, event_id=event_id)


def again(message: str) -> str:
    """The same news under another name."""
    head, _, rest = message.partition('",')
    return f'{head}x",{rest}'


A, B, C = (item(name) for name in "abc")
NEWS = (text("a", " thing", "a"), text("", "a", "a"))
ORDERS: dict[str, tuple[int, tuple[str, ...], list[str]]] = {
    "two items": (2, (*A, *B), ["a.", "b."]),
    "the same once more": (2, (*A, *B, *A), ["a.", "b."]),
    "said twice": (2, (*A, *B, again(A[0]), again(A[1])), ["a.", "b."]),
    "what nobody asked": (2, (*A, *B, item_created("a"), item_created("b")), ["a.", "b."]),
    "drafts": (2, (*A, *B, *NEWS), ["a.", "b."]),
    "three items": (3, (*A, *B, *C), ["a.", "b.", "c."]),
    "the first refused by name": (3, (refused("event_c_3"), *B, *C), ["b.", "c."]),
    "the second refused by name": (3, (*A, refused("event_c_5"), *C), ["a.", "c."]),
    "refused twice by name": (2, (refused("event_c_3"), again(refused("event_c_3")), *B), ["b."]),
    "refused without a name": (3, (refused(None), *B, *C), ["b.", "c."]),
    "all refused": (3, (refused("event_c_3"), refused(None), refused("event_c_7")), []),
}


@pytest.mark.parametrize("story", ORDERS)
def test_a_manual_commit_has_one_answer_in_every_order(story: str) -> None:
    commits, messages, texts = ORDERS[story]
    for order in some(itertools.permutations(messages), 300):
        session = manual(commits=commits)
        outputs: list[Output] = [output for message in order for output in session.receive(message)]
        assert len(answers(outputs)) == commits, order
        assert_answers(session, outputs, texts, order)


@pytest.mark.parametrize("story", ORDERS)
def test_so_it_has_when_the_end_commits_the_rest(story: str) -> None:
    """The last commit is the gateway's own: it has no answer, but its words."""
    commits, messages, texts = ORDERS[story]
    for order in some(itertools.permutations(messages), 150):
        session = manual(commits=commits - 1)
        session.audio(SECOND)
        outputs: list[Output] = [*session.finish()]
        outputs += [output for message in order for output in session.receive(message)]
        assert len(answers(outputs)) == commits - 1, order
        assert_answers(session, outputs, texts, order)


def assert_answers(session: Qwen3AsrAdapter, outputs: list[Output], texts: list[str], order: Any) -> None:
    assert sorted(finals(outputs)) == texts, order
    outputs += session.finish() if session.is_ready else ()
    assert sum('"session.finish"' in str(output) for output in outputs) == 1, order
    assert told(session.receive(session_finished())) == [Finished()], order
    assert_in_order(numbered(outputs))

"""What the `llama` thread does with a job: answers a question, prepares a prompt, forgets a conversation."""

from models.engine import EngineFailed, PromptTooLong, Turn
from models.llama.context import Cancelled, DecodeFailed
from models.llama.generation import Generation
from models.llama.jobs import Forgetting, Preparation, Question
from models.llama.loading import Loaded
from models.llama.pace import Pace
from models.llama.sequence import CachedSequence, chunks, common_prefix
from models.llama.settings import LlamaSettings
from models.llama.template import ChatTemplate


class Server:
    """One model with one sequence. Every call but `holder` belongs to the `llama` thread."""

    def __init__(self, loaded: Loaded, settings: LlamaSettings, pace: Pace) -> None:
        self._loaded = loaded
        self._settings = settings
        self._pace = pace
        self._template = ChatTemplate(loaded.model, settings.thinking)
        self._sequence = CachedSequence(loaded.context)

    @property
    def holder(self) -> str:
        """The conversation whose tokens are in the context."""
        return self._sequence.key

    def answer(self, question: Question) -> None:
        """Stream an answer into its outbox; every end but a cancellation is told there."""
        outbox = question.ask.outbox
        self._pace.began()
        self._loaded.context.watch(question.flag)
        generation = None
        try:
            generation = self._generate(question)
            if generation.usage is not None:
                outbox.finish(generation.usage)
        except Cancelled:
            pass
        except (PromptTooLong, EngineFailed) as error:
            outbox.finish(error)
        except DecodeFailed as error:
            self._sequence.clear()
            outbox.finish(EngineFailed(str(error)))
        finally:
            self._loaded.context.watch(None)
            self._pace.ended(generation.usage if generation else None)

    def _generate(self, question: Question) -> Generation:
        if question.flag.is_set:
            raise Cancelled
        rendered = self._template.render(question.prompt.turns())
        generation = Generation(question.ask, rendered, self._loaded.model, self._loaded.context, self._sequence)
        try:
            while generation.usage is None:
                generation.step()
        finally:
            generation.free()
        return generation

    def prepare(self, job: Preparation) -> None:
        """Compute the beginning that every prompt with this system and history shares, as far as nobody interrupts."""
        context = self._loaded.context
        context.watch(job.flag)
        try:
            shared = self._shared_beginning(job)
            if self._worth_preparing(shared):
                start = self._sequence.take_over(job.key, shared)
                for chunk in chunks(shared, start, context.batch_tokens):
                    self._sequence.extend(chunk)
        except (Cancelled, EngineFailed):
            pass
        except DecodeFailed:
            self._sequence.clear()
        finally:
            context.watch(None)
            job.finish()

    def _worth_preparing(self, shared: list[int]) -> bool:
        held = self._sequence.shares(shared)
        return held < len(shared) <= self._loaded.context.size_tokens

    def _shared_beginning(self, job: Preparation) -> list[int]:
        """What the template makes of system and history, whatever question follows."""
        head = job.prompt.turns()[:-1]
        one, other = (self._template.render([*head, Turn("user", tail)]).tokens for tail in ("A", "1"))
        return one[: common_prefix(one, other)]

    def forget(self, job: Forgetting) -> None:
        """Drop the tokens of a conversation, and overwrite them."""
        tokens = self._sequence.clear() if self._sequence.key == job.key else 0
        job.finish(self._loaded.header.kv_bytes(tokens, self._settings.kv_type))

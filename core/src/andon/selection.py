"""Which backends may serve a request."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

from andon.errors import ConfigurationError, PrivacyViolation
from andon.privacy import PrivacyTier
from andon.specs import BackendSpec, Locality


class ServingBackend(StrEnum):
    """The backends that andon's own distributions offer; others come with others' plugins."""

    REALIZAR = "realizar"
    OLLAMA = "ollama"
    LLAMA_CPP = "llama-cpp"
    LLAMAFILE = "llamafile"
    CANDLE = "candle"
    VLLM = "vllm"
    TGI = "tgi"
    LOCALAI = "localai"
    HUGGINGFACE = "huggingface"
    TOGETHER = "together"
    REPLICATE = "replicate"
    ANYSCALE = "anyscale"
    MODAL = "modal"
    FIREWORKS = "fireworks"
    GROQ = "groq"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    AZURE_OPENAI = "azure-openai"
    AWS_BEDROCK = "aws-bedrock"
    GOOGLE_VERTEX = "google-vertex"

    @property
    def distribution(self) -> str:
        """The distribution that brings the backend, for ``pip install``."""
        return "andon-transformers" if self is ServingBackend.CANDLE else f"andon-{self.value}"


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model at a backend, as a caller names it.

    :param backend: the backend's name.
    :param model: the model's name there.
    """

    backend: str
    model: str

    @staticmethod
    def parse(text: str) -> ModelRef:
        """Read ``backend:model``, split at the first colon.

        :raises ConfigurationError: the text has another form.
        """
        return _parse_ref(str(text))

    def __str__(self) -> str:
        return f"{self.backend}:{self.model}"


@lru_cache(maxsize=1024)
def _parse_ref(text: str) -> ModelRef:
    backend, _, model = text.partition(":")
    if not (backend and model):
        raise ConfigurationError(
            f"a model is named as backend:model, like 'llama-cpp:demo', not {text!r}"
        )
    return ModelRef(backend, model)


class LatencyTier(StrEnum):
    """How soon the first token is wanted."""

    #: Within a tenth of a second: speech, completion while typing.
    REAL_TIME = "real_time"
    #: Within a second or two: chat.
    INTERACTIVE = "interactive"
    #: Some time.
    BATCH = "batch"


class ThroughputTier(StrEnum):
    """How many requests run at once."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class CostTier(StrEnum):
    """What a request may cost."""

    #: Nothing but one's own hardware and electricity.
    FREE = "free"
    #: Open models at the prices of their hosts.
    LOW = "low"
    #: Anything.
    ANY = "any"


@dataclass(frozen=True, slots=True)
class _Traits:
    """What a backend is like where it usually runs.

    :param locality: where that is.
    :param latency: the quickest tier that it serves.
    :param throughput: the highest tier that it serves.
    :param cost: what it costs.
    """

    locality: Locality
    latency: LatencyTier
    throughput: ThroughputTier
    cost: CostTier


def _local(latency: LatencyTier, throughput: ThroughputTier) -> _Traits:
    return _Traits(Locality.LOCAL, latency, throughput, CostTier.FREE)


def _remote(latency: LatencyTier, cost: CostTier, locality: Locality = Locality.PUBLIC) -> _Traits:
    return _Traits(locality, latency, ThroughputTier.HIGH, cost)


_REAL_TIME, _INTERACTIVE, _BATCH = LatencyTier
_LOW, _MEDIUM, _HIGH = ThroughputTier

#: The order of recommendation: near before far, and there the simpler before the larger. What a
#: backend is like was judged by its engine: one sequence at a time, several, or batches of many.
_TRAITS = {
    ServingBackend.REALIZAR: _local(_REAL_TIME, _LOW),
    ServingBackend.OLLAMA: _local(_INTERACTIVE, _MEDIUM),
    ServingBackend.LLAMA_CPP: _local(_REAL_TIME, _MEDIUM),
    ServingBackend.LLAMAFILE: _local(_BATCH, _LOW),
    ServingBackend.CANDLE: _local(_BATCH, _LOW),
    ServingBackend.VLLM: _local(_BATCH, _HIGH),
    ServingBackend.TGI: _local(_BATCH, _HIGH),
    ServingBackend.LOCALAI: _local(_BATCH, _MEDIUM),
    ServingBackend.AZURE_OPENAI: _remote(_INTERACTIVE, CostTier.ANY, Locality.PRIVATE),
    ServingBackend.AWS_BEDROCK: _remote(_INTERACTIVE, CostTier.ANY, Locality.PRIVATE),
    ServingBackend.GOOGLE_VERTEX: _remote(_INTERACTIVE, CostTier.ANY, Locality.PRIVATE),
    ServingBackend.GROQ: _remote(_REAL_TIME, CostTier.LOW),
    ServingBackend.TOGETHER: _remote(_INTERACTIVE, CostTier.LOW),
    ServingBackend.FIREWORKS: _remote(_INTERACTIVE, CostTier.LOW),
    ServingBackend.HUGGINGFACE: _remote(_INTERACTIVE, CostTier.LOW),
    ServingBackend.OPENAI: _remote(_INTERACTIVE, CostTier.ANY),
    ServingBackend.ANTHROPIC: _remote(_INTERACTIVE, CostTier.ANY),
    ServingBackend.REPLICATE: _remote(_BATCH, CostTier.LOW),
    ServingBackend.ANYSCALE: _remote(_BATCH, CostTier.LOW),
    ServingBackend.MODAL: _remote(_BATCH, CostTier.LOW),
}


@dataclass(frozen=True, slots=True)
class BackendSelector:
    """Says which backends may serve a request, and which would serve it best.

    :param privacy: where the data of a request may go.
    :param latency: how soon the first token is wanted.
    :param throughput: how many requests run at once.
    :param cost: what a request may cost.
    :param disabled: backends that are out of the question.
    :param preferred: backends to take first, where they are in.
    """

    privacy: PrivacyTier = PrivacyTier.STANDARD
    latency: LatencyTier = LatencyTier.BATCH
    throughput: ThroughputTier = ThroughputTier.LOW
    cost: CostTier = CostTier.ANY
    disabled: frozenset[str] = frozenset()
    preferred: tuple[str, ...] = ()

    def with_privacy(self, tier: PrivacyTier | str) -> BackendSelector:
        """Return a selector for another privacy tier."""
        return replace(self, privacy=PrivacyTier(tier))

    def with_latency(self, tier: LatencyTier | str) -> BackendSelector:
        """Return a selector for another latency."""
        return replace(self, latency=LatencyTier(tier))

    def with_throughput(self, tier: ThroughputTier | str) -> BackendSelector:
        """Return a selector for another throughput."""
        return replace(self, throughput=ThroughputTier(tier))

    def with_cost(self, tier: CostTier | str) -> BackendSelector:
        """Return a selector for another cost."""
        return replace(self, cost=CostTier(tier))

    def disable(self, *backends: str) -> BackendSelector:
        """Return a selector that never takes these backends."""
        return replace(self, disabled=self.disabled | set(map(str, backends)))

    def prefer(self, *backends: str) -> BackendSelector:
        """Return a selector that takes these backends first, in this order."""
        return replace(self, preferred=(*map(str, backends), *self.preferred))

    def validate(self, backend: BackendSpec | str) -> None:
        """Check that a backend may be used.

        :param backend: the backend, its locality as its address makes it; or its name, which
            stands for where it usually runs.
        :raises PrivacyViolation: its locality is beyond the tier.
        :raises ConfigurationError: it is disabled, or nobody knows where a backend of that name
            usually runs.
        """
        if isinstance(backend, str):
            name, locality = backend, _usual_locality(backend)
        else:
            name, locality = backend.name, backend.locality
        if name in self.disabled:
            raise ConfigurationError(f"the backend {str(name)!r} is disabled")
        if self.privacy.allows(locality):
            return
        allowed = ", ".join(place for place in Locality if self.privacy.allows(place))
        raise PrivacyViolation(
            f"the privacy tier {self.privacy} does not allow the backend {str(name)!r}, which is "
            f"{locality}; it allows backends that are {allowed}"
        )

    def recommend(
        self, *, installed_only: bool = False, installed: Iterable[str] | None = None
    ) -> list[ServingBackend]:
        """Return the backends that would serve best, the best first.

        :param installed_only: whether to leave out those whose plugin is not installed.
        :param installed: names of backends that are installed; looked up where None.
        """
        if installed_only and installed is None:
            # Here, since it takes as long to import as a call of a model server.
            from importlib.metadata import entry_points

            installed = {entry_point.name for entry_point in entry_points(group="andon")}
        known = None if installed is None or not installed_only else set(installed)
        reasons = self.explain()
        found = [
            backend
            for backend in _TRAITS
            if not reasons[backend] and (known is None or backend in known)
        ]
        return sorted(found, key=self._rank)

    def explain(self) -> dict[ServingBackend, str]:
        """Return for every backend why it is out, or an empty text where it is in.

        Where a backend usually runs is what counts here; whether a client may use it goes by the
        address that it is really at.
        """
        return {backend: self._why_not(backend, traits) for backend, traits in _TRAITS.items()}

    def _why_not(self, backend: ServingBackend, traits: _Traits) -> str:
        if backend in self.disabled:
            return "it is disabled"
        if not self.privacy.allows(traits.locality):
            return f"the privacy tier {self.privacy} does not allow what is {traits.locality}"
        # Tiers are in order: whoever serves the demanding serves the patient as well.
        if _is_beyond(traits.latency, self.latency):
            return f"it does not serve the latency tier {self.latency}"
        if _is_beyond(self.throughput, traits.throughput):
            return f"it does not serve the throughput tier {self.throughput}"
        if _is_beyond(traits.cost, self.cost):
            return f"it costs more than the cost tier {self.cost}"
        return ""

    def _rank(self, backend: ServingBackend) -> int:
        wanted = self.preferred
        return wanted.index(backend) - len(wanted) if backend in wanted else 0


def _usual_locality(name: str) -> Locality:
    traits = {str(backend): traits for backend, traits in _TRAITS.items()}.get(name)
    if traits is None:
        raise ConfigurationError(f"nobody knows where {name!r} usually runs; hand over its record")
    return traits.locality


def _is_beyond(one: StrEnum, other: StrEnum) -> bool:
    tiers = list(type(one))
    return tiers.index(one) > tiers.index(other)

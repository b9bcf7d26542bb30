"""Which backends may serve a request."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

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

    @classmethod
    def parse(cls, text: str) -> ModelRef:
        """Read ``backend:model``, split at the first colon.

        :raises ConfigurationError: the text has another form.
        """
        backend, _, model = str(text).partition(":")
        if not (backend and model):
            raise ConfigurationError(
                f"a model is named as backend:model, like 'llama-cpp:demo', not {text!r}"
            )
        return cls(backend, model)

    def __str__(self) -> str:
        return f"{self.backend}:{self.model}"


@dataclass(frozen=True, slots=True)
class BackendSelector:
    """Keeps requests away from backends that they must not reach.

    :param privacy: where the data of a request may go.
    """

    privacy: PrivacyTier = PrivacyTier.STANDARD

    def with_privacy(self, tier: PrivacyTier | str) -> BackendSelector:
        """Return a selector for another privacy tier."""
        return BackendSelector(PrivacyTier(tier))

    def validate(self, spec: BackendSpec) -> None:
        """Check that a backend may be used.

        :raises PrivacyViolation: its locality is beyond the tier.
        """
        if self.privacy.allows(spec.locality):
            return
        allowed = ", ".join(place for place in Locality if self.privacy.allows(place))
        raise PrivacyViolation(
            f"the privacy tier {self.privacy} does not allow the backend {spec.name!r}, which is "
            f"{spec.locality}; it allows backends that are {allowed}"
        )

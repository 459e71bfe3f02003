"""Schema of the configuration: Hearth's own sections, and one for each platform that is registered."""

import functools
import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from adapters.platform import Platform, SettingsT
from bot.config.folders import expand_home
from bot.config.http_settings import HttpSettings
from bot.config.model_settings import ModelSettings
from bot.core.settings import CoreSettings, HistorySettings
from bot.platforms import BrokenPlatform, PlatformRegistry, load_platforms
from knowledge.settings import FolderPath, KnowledgeSettings
from models.defaults import DEFAULT_CHAT, DEFAULT_EMBEDDING
from models.recommended_embedders import find_embedder
from models.weights_sources import WeightsSource


class WeightsSettings(BaseModel):
    """Where the models' files come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chat: WeightsSource = Field(default=DEFAULT_CHAT, description="The language model: one GGUF file.")
    embedding: tuple[WeightsSource, ...] | None = Field(
        default=None,
        description="The embedding model's files; none: built-in sources for the models that `hearth models recommend`"
        " lists, otherwise fastembed's.",
    )
    reranking: tuple[WeightsSource, ...] | None = Field(
        default=None, description="The reranker's files; none: fastembed downloads the model by its name."
    )


class Config(BaseModel):
    """Hearth's own settings, and the base of `config_model`, which has the platforms' sections too.

    Paths are absolute once loaded.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_folder: FolderPath = Field(
        default=Path("~/.local/share/hearth"),
        description="Folder for all of Hearth's data; one process at a time uses it.",
    )
    cache_folder: FolderPath | None = Field(
        default=None, description="Folder for downloaded models; none: $HEARTH_CACHE, else ~/.cache/hearth."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Log level; message texts and secrets are never logged."
    )
    weights: WeightsSettings = Field(default_factory=WeightsSettings, description="Sources of the model files.")
    model: ModelSettings = Field(default_factory=ModelSettings, description="The language model.")
    knowledge: KnowledgeSettings = Field(
        default_factory=KnowledgeSettings, description="Document collections, and the search in them."
    )
    core: CoreSettings = Field(
        default_factory=CoreSettings, description="Conversations: language, instructions, limits."
    )
    history: HistorySettings = Field(default_factory=HistorySettings, description="How long conversations are kept.")
    http: HttpSettings = Field(default_factory=HttpSettings, description="Health, readiness and metrics over HTTP.")

    @property
    def model_cache_folder(self) -> Path:
        """The folder for downloaded models. Raises HomeUnknown."""
        named = self.cache_folder or Path(os.environ.get("HEARTH_CACHE") or "~/.cache/hearth")
        return expand_home(named).absolute()

    @property
    def embedding_weights(self) -> tuple[WeightsSource, ...]:
        """The embedder's files; empty when fastembed is to get the model by its name, or none is needed."""
        embedding = self.knowledge.embedding
        if embedding.kind == "hashing":
            return ()
        if self.weights.embedding is not None:
            return self.weights.embedding
        if embedding.model == type(embedding).model_fields["model"].default:
            return DEFAULT_EMBEDDING
        known = find_embedder(embedding.model)
        return known.sources if known else ()

    @property
    def reranking_weights(self) -> tuple[WeightsSource, ...]:
        """The reranker's files; empty when fastembed is to get the model by its name, or none is needed."""
        return self.weights.reranking or () if self.knowledge.reranking.kind == "fastembed" else ()

    @property
    def local_line_bytes(self) -> int:
        """The longest line on the local socket, in bytes."""
        return self.platform_settings(load_platforms().local_chat).line_bytes

    def platform_settings(self, platform: Platform[SettingsT]) -> SettingsT:
        """The section of a platform; its defaults where the schema was built without it."""
        section = getattr(self, platform.name, None)
        return section if isinstance(section, platform.settings) else platform.settings()

    def enabled_platforms(self) -> tuple[Platform[Any], ...]:
        """The platforms that are switched on; that of local clients, which always runs, is not among them."""
        return tuple(each for each in load_platforms().networked if self.platform_settings(each).enabled)


class BrokenSection(BaseModel):
    """The section of a platform that cannot be imported: anything, as long as it is not enabled."""

    model_config = ConfigDict(frozen=True, extra="allow")

    enabled: bool = Field(default=False, description="Whether the platform is used.")


@functools.cache
def config_model() -> type[Config]:
    """The config with the sections of all platforms that are installed."""
    return build_config_model(load_platforms())


def build_config_model(registry: PlatformRegistry) -> type[Config]:
    """The config with the sections of a registry's platforms."""
    sections: dict[str, Any] = {}
    for platform in registry.platforms:
        sections[platform.name] = _section(platform.settings, platform.summary)
    for broken in registry.broken:
        if broken.name.isidentifier() and broken.name not in Config.model_fields:
            sections[broken.name] = _section(_broken_section(broken), "A platform that cannot be imported.")
    return create_model("Config", __base__=Config, __doc__=Config.__doc__, __module__=__name__, **sections)


def replaced_platform_keys(registry: PlatformRegistry) -> dict[str, str]:
    """The keys that platforms have replaced, with the keys to write instead, as paths in the file."""
    return {
        f"{platform.name}.{old}": f"{platform.name}.{new}"
        for platform in registry.platforms
        for old, new in platform.replaced_keys.items()
    }


def _section(settings: type[BaseModel], description: str) -> tuple[type[BaseModel], Any]:
    return settings, Field(default_factory=settings, description=description)


def _broken_section(broken: BrokenPlatform) -> type[BaseModel]:
    class Section(BrokenSection):
        @model_validator(mode="after")
        def refuse_enabled(self) -> "Section":
            if self.enabled:
                raise ValueError(broken.sentence.rstrip("."))
            return self

    return Section

"""All settings: the only reader of the environment and the only place a default is written.

`KEFU_DATA_DIR` stands alone; everything else is `KEFU_<GROUP>__<NAME>`, for example
`KEFU_LLM__MAX_NEW_TOKENS=200`. A `.env` file in the working folder is read too. Every field
appears with its meaning in `.env.example`; a test compares the two.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from bot.errors import SettingsError

Port = Annotated[int, Field(ge=1, le=65535)]
Positive = Annotated[int, Field(gt=0)]
Probability = Annotated[float, Field(ge=0, le=1)]


class _Group(BaseModel):
    model_config = {"extra": "forbid"}


class DatabaseSettings(_Group):
    """Where rows live; empty means SQLite in the data folder."""

    url: str = ""


class LlmSettings(_Group):
    """The language model: in process (`local`) or any OpenAI-compatible server (`remote`)."""

    backend: Literal["local", "remote"] = "local"
    weights: str = "packaged"  # `packaged`, a folder, or a hub id
    adapter: str = ""  # a PEFT folder; empty: none
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = Field(0, ge=0)  # 0: all cores
    remote_url: str = ""  # base URL up to and including /v1
    remote_model: str = ""
    remote_key: SecretStr = SecretStr("")
    remote_timeout_s: Positive = 120
    remote_active: Positive = 16  # requests sent to the remote server at the same time
    max_active: Positive = 1  # answers generated in process at the same time
    max_waiting: Positive = 32
    max_new_tokens: Positive = 200
    temperature: float = Field(0.0, ge=0, le=2)
    prompt_lookup_tokens: int = Field(15, ge=0, le=15)  # 0 switches prompt lookup off
    int8_decoding: bool = True  # 8-bit products on the CPU
    prompt_budget_tokens: int = Field(1200, ge=400)


class KnowledgeSettings(_Group):
    """Documents, splitting and retrieval."""

    embedder: str = "packaged"  # `packaged`, a folder, or a sentence-transformers name
    chunk_tokens: int = Field(150, ge=32, le=480)
    top_k: int = Field(5, ge=1, le=50)  # passages a search gives back
    candidates: int = Field(30, ge=1, le=1000)  # taken from each index before fusion
    reranker: str = ""  # a folder or hub id of a cross-encoder; empty: none
    rerank_candidates: int = Field(20, ge=1, le=100)  # that it scores again
    exact_vectors: Positive = 20_000  # up to here every vector is compared with a question
    hnsw_vectors: Positive = 200_000  # up to here a graph leads to the nearest, above IVF-PQ
    duplicate_threshold: Probability = 0.85  # share of a text from which it counts as a duplicate
    stale_after_days: Positive = 365  # a document not replaced for longer counts as stale
    max_upload_mb: Positive = 50
    max_pdf_pages: Positive = 2000
    max_ocr_pages: Positive = 100  # scanned pages of one file, a few seconds each
    max_text_chars: Positive = 5_000_000
    max_unpacked_mb: Positive = 200  # office files after decompression
    allow_private_urls: bool = False  # fetch web sources from one's own network too
    fetch_timeout_s: Positive = 20  # for one page with its redirects
    fetch_delay_s: float = Field(1.0, ge=0)  # between two requests to one site
    max_page_mb: Positive = 10
    max_site_pages: Positive = 1000  # taken from one sitemap


class ChatSettings(_Group):
    """How replies are made."""

    max_message_chars: Positive = 4000
    handoffs_per_wrong_answer: float = Field(0.15, ge=0, le=1000)  # the threshold follows from it
    relevance_threshold: Probability | None = None  # instead of the one that follows
    curated_threshold: Probability = 0.88  # cosine from which a curated answer is given
    passages: int = Field(3, ge=1, le=10)  # passages that go into the prompt
    neighbor_tokens: int = Field(0, ge=0, le=1000)  # that those beside the best one may add
    history_turns: int = Field(3, ge=0, le=20)
    checkpoint_s: float = Field(0.5, gt=0)  # how often a streamed text is saved
    recorded_searches: Positive = 20_000  # newest searches kept with all their candidates

    show_analysis: bool = False  # language and intent under the customer's own messages
    sla_minutes: str = "240,60,30,15"  # until a person answers, for severity 1 to 4

    @property
    def sla_by_severity(self) -> tuple[int, ...]:
        """Minutes until a person should have answered, for severity 1 to 4."""
        return tuple(int(part) for part in self.sla_minutes.split(","))

    @field_validator("sla_minutes")
    @classmethod
    def _check_sla(cls, value: str) -> str:
        parts = [part.strip() for part in value.split(",")]
        if len(parts) != 4 or not all(part.isdecimal() and 0 < int(part) < 10**6 for part in parts):
            raise ValueError(f"must be four numbers of minutes like 240,60,30,15; got {value!r}")
        return ",".join(parts)

    @field_validator("relevance_threshold", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value


class WebSettings(_Group):
    """The server and its limits."""

    host: str = "127.0.0.1"
    port: Port = 8000
    root_path: str = ""  # sub-path behind a proxy, such as /kefu
    secure_cookies: bool = False  # set when customers reach Kefu over https
    trusted_origins: str = ""  # further origins of form posts, comma-separated
    login_hours: Positive = 12
    conversations_per_minute: Positive = 30  # new conversations per address
    messages_per_minute: Positive = 30  # per address
    trust_forwarded_for: bool = False  # read the customer's address from X-Forwarded-For
    shutdown_s: Positive = 10
    customer_key: SecretStr = SecretStr("")  # HS256 key for the host page's customer tokens

    @field_validator("root_path")
    @classmethod
    def _check_root_path(cls, value: str) -> str:
        if value and (not value.startswith("/") or value.endswith("/")):
            raise ValueError(f"must start with / and not end with one, like /kefu; got {value!r}")
        return value


class LogSettings(_Group):
    """What the log shows; never message text."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["json", "text"] = "json"


class Settings(BaseSettings):
    """Everything a Kefu can be told."""

    model_config = SettingsConfigDict(
        env_prefix="KEFU_",
        env_nested_delimiter="__",
        env_file=".env",
        env_file_encoding="utf-8",
        extra="forbid",
    )

    data_dir: Path = Path("./data")
    database: DatabaseSettings = DatabaseSettings()
    llm: LlmSettings = LlmSettings()
    knowledge: KnowledgeSettings = KnowledgeSettings()
    chat: ChatSettings = ChatSettings()
    web: WebSettings = WebSettings()
    log: LogSettings = LogSettings()

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL in force."""
        return self.database.url or f"sqlite:///{self.data_dir.absolute() / 'kefu.db'}"


def load_settings(**overrides: object) -> Settings:
    """Reads the environment and `.env`; nested overrides win.

    Raises:
        SettingsError: one line that names the first wrong setting as the user wrote it.
    """
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]  # checked by pydantic
    except ValidationError as error:
        first = error.errors()[0]
        name = "KEFU_" + "__".join(str(part).upper() for part in first["loc"])
        # The value of an unknown name may be a secret under a misspelt one.
        got = "" if first["type"] == "extra_forbidden" else f" (got {first.get('input')!r})"
        raise SettingsError(f"{name}: {first['msg']}{got}") from None
    if settings.llm.backend == "remote" and not settings.llm.remote_url:
        raise SettingsError("KEFU_LLM__REMOTE_URL: needed when KEFU_LLM__BACKEND is 'remote'")
    return settings

"""Every setting, declared once: type, default and sentence. `load.py` reads and checks them.

Sizes are bytes and take "256MiB"; durations are seconds and take "500ms", "10s", "5m", "7d".
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from countermark.settings.cdns import CDN_TRAITS, CdnKind

_OPTION_TYPES = ("string", "boolean", "integer", "array")

Size = Annotated[int, Meta(ge=0, extra={"unit": "size"})]
Duration = Annotated[float, Meta(ge=0, le=3650 * 86_400, extra={"unit": "duration"})]
Timeout = Annotated[float, Meta(gt=0, le=86_400, extra={"unit": "duration"})]
OptionText = Annotated[
    str | tuple[str, ...], Meta(extra_json_schema={"anyOf": [{"type": kind} for kind in _OPTION_TYPES]})
]
Secret = Annotated[str, Meta(extra={"secret": True})]


class ForwardAuthSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Answers at /verify, by which another proxy asks whether it may show what it was asked for."""

    target: Annotated[
        str,
        Meta(
            description="Header with the original path and query, such as X-Original-URI. Empty: there is no /verify."
        ),
    ] = ""
    host: Annotated[
        str,
        Meta(description="Header with the original host, such as X-Forwarded-Host. Empty: the question's own Host."),
    ] = ""
    method: Annotated[
        str,
        Meta(
            description="Header with the original method, such as X-Forwarded-Method. Empty: the question's own method."
        ),
    ] = ""
    only_200: Annotated[bool, Meta(description="Say yes with 200 in place of 204, as Envoy needs.")] = False
    only_401_403: Annotated[
        bool,
        Meta(
            description="Refuse with 401 or 403 alone, as nginx auth_request needs; Countermark-Status has the true one."
        ),
    ] = False


class HopSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A proxy or CDN in front whose word counts. All that proves it must hold together; two ways to prove it are two hops."""

    networks: Annotated[
        tuple[str, ...], Meta(description="Networks that it connects from. Required, unless it signs its requests.")
    ] = ()
    secret_header: Annotated[
        str, Meta(description="Header in which it sends the secret, such as X-Edge-Secret. Empty: none is asked for.")
    ] = ""
    secret: Annotated[Secret, Meta(description="What stands in that header, 15 characters or more.")] = ""
    next_secret: Annotated[Secret, Meta(description="A second one that is good too, while the first is changed.")] = ""
    client_certificates: Annotated[
        tuple[str, ...],
        Meta(
            description="SHA-256 fingerprints of its client certificates; the TLS terminator in networks hands them on in "
            "Client-Cert (RFC 9440)."
        ),
    ] = ()
    client_authorities: Annotated[
        str,
        Meta(description="PEM file of the authorities that issue its client certificates, in place of fingerprints."),
    ] = ""
    signed: Annotated[
        bool,
        Meta(
            description="It signs each request (RFC 9421), the headers that are read below among what it signs, with a key "
            "of dialect rfc9421 that opens the hop's name."
        ),
    ] = False
    signature_tag: Annotated[str, Meta(description="The tag of these signatures.")] = "cdn-to-gateway"
    address: Annotated[
        Literal[
            "X-Forwarded-For",
            "Forwarded",
            "CF-Connecting-IP",
            "True-Client-IP",
            "Fastly-Client-IP",
            "Fly-Client-IP",
            "X-Real-IP",
            "X-Azure-SocketIP",
            "CloudFront-Viewer-Address",
            "proxy-protocol",
        ],
        Meta(description="The one place where it names the client's address."),
    ] = "X-Forwarded-For"
    through: Annotated[
        tuple[str, ...],
        Meta(description="Networks that X-Forwarded-For and Forwarded are read through besides, from right to left."),
    ] = ()
    count: Annotated[
        int,
        Meta(ge=0, le=16, description="Place of the client in them, counted from the right; 0: the first stranger."),
    ] = 0
    country: Annotated[
        Literal[
            "akamai",
            "auto",
            "azure",
            "bunny",
            "cloudflare",
            "cloudfront",
            "fastly",
            "google",
            "header",
            "mmdb",
            "vercel",
        ],
        Meta(description="The one place where the country stands. auto: geo.database, where there is one."),
    ] = "auto"
    country_header: Annotated[
        str, Meta(description="Header with the country, as azure, fastly, google and header need it.")
    ] = ""
    region_header: Annotated[str, Meta(description="Header with the region, where the same have one.")] = ""

    def __repr__(self) -> str:
        # The secrets must never reach a log by way of a traceback or a debug line.
        return f"HopSettings(networks={self.networks!r})"

    def __rich_repr__(self) -> list[tuple[str, tuple[str, ...]]]:
        return [("networks", self.networks)]


class ServerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the gateway listens, and what it bears from its clients."""

    listen: Annotated[str, Meta(description="Public address, HOST:PORT.")] = "0.0.0.0:8080"
    admin: Annotated[str, Meta(description="Address of metrics and the admin API. Keep it private.")] = "127.0.0.1:8081"
    workers: Annotated[
        Annotated[int, Meta(ge=1, le=256)] | Literal["auto"],
        Meta(description="Worker processes. auto: one for each core, four at most."),
    ] = "auto"
    trusted_proxies: Annotated[
        tuple[str, ...], Meta(description="Networks whose X-Forwarded-For is believed, read from right to left.")
    ] = ()
    hops: Annotated[
        dict[str, HopSettings],
        Meta(
            description="Proxies and CDNs in front by name, in place of trusted_proxies; the first that proves itself counts."
        ),
    ] = field(default_factory=dict)
    proxy_protocol: Annotated[
        tuple[str, ...],
        Meta(description="Networks whose connections begin with a PROXY header (v1 or v2); nobody else's may."),
    ] = ()
    header_timeout: Annotated[Timeout, Meta(description="A request's header must be whole within this time.")] = 5.0
    keepalive_timeout: Annotated[Timeout, Meta(description="An idle connection is kept this long.")] = 60.0
    write_timeout: Annotated[
        Timeout, Meta(description="A client that takes nothing of its answer for this long is cut off.")
    ] = 15.0
    drain_timeout: Annotated[
        Duration, Meta(description="At SIGTERM and reload, requests in flight have this long to end.")
    ] = 30.0
    country_header: Annotated[
        str,
        Meta(description="Header in which one of trusted_proxies names the client's country, such as CF-IPCountry."),
    ] = ""
    forward_auth: Annotated[ForwardAuthSettings, Meta(description="Questions of other proxies.")] = (
        ForwardAuthSettings()
    )
    max_connections: Annotated[
        Annotated[int, Meta(ge=1)] | Literal["auto"],
        Meta(description="Open connections a worker. auto: a third of its file descriptors."),
    ] = "auto"
    max_connections_per_peer: Annotated[
        int, Meta(ge=1, description="Connections of one peer address that have not sent a whole request yet.")
    ] = 256


class GeoSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where countries come from, if no proxy in front names them."""

    database: Annotated[
        str,
        Meta(description="MMDB file with countries, such as GeoLite2-Country.mmdb. Empty: countries are not known."),
    ] = ""


class CacheSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where finished pictures are kept."""

    memory: Annotated[Size, Meta(description="Renditions in each worker's memory; 0 turns it off.")] = 256 * 2**20
    disk: Annotated[str, Meta(description="Folder shared by the workers; empty turns it off.")] = ""
    disk_size: Annotated[Size, Meta(description="Upper bound of that folder.")] = 10 * 2**30
    max_entry: Annotated[Size, Meta(description="A larger answer is streamed and not kept.")] = 16 * 2**20
    revalidate: Annotated[
        Duration, Meta(description="After this time a kept picture is compared with its original before it is served.")
    ] = 60.0


class RenderSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The child processes that decode, and the bounds on what they are given."""

    children: Annotated[
        Annotated[int, Meta(ge=1, le=256)] | Literal["auto"],
        Meta(description="Render children of each worker. auto: one for each core."),
    ] = "auto"
    deadline: Annotated[Timeout, Meta(description="Wall time of one render; then its child is killed.")] = 10.0
    queue_delay: Annotated[
        Duration,
        Meta(
            description="Longest wait for a render child while a crowd lasts; who would wait longer gets 503 at once."
        ),
    ] = 1.0
    max_pixels: Annotated[int, Meta(ge=1, description="Pixels of one frame of an original.")] = 100_000_000
    max_side: Annotated[int, Meta(ge=1, description="Pixels of an original's longer side.")] = 32_767
    max_frames: Annotated[int, Meta(ge=1, description="Frames of an animation.")] = 500
    max_memory: Annotated[Size, Meta(description="Predicted peak memory of one render.")] = 512 * 2**20
    max_output_side: Annotated[int, Meta(ge=1, description="Pixels of a result's longer side.")] = 8_192
    parcels: Annotated[Size, Meta(description="Originals held in memory at once, in each worker.")] = 512 * 2**20
    quality: Annotated[
        dict[str, Annotated[int, Meta(ge=1, le=100)]], Meta(description="Default quality of jpeg, webp and avif.")
    ] = field(default_factory=lambda: {"jpeg": 80, "webp": 78, "avif": 55})
    formats: Annotated[
        tuple[Literal["avif", "webp"], ...], Meta(description="What fm=auto may choose, best first.")
    ] = ("avif", "webp")
    unsafe_waive_sandbox: Annotated[
        tuple[Literal["landlock", "seccomp", "namespaces", "rlimits"], ...],
        Meta(
            description="Parts of the sandbox that this machine may lack. Without a waiver the gateway does not start."
        ),
    ] = ()


class OriginSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A private store of originals."""

    url: Annotated[str, Meta(description="file:, http:, https: or s3: address; the object's key is appended.")]
    connect_timeout: Annotated[Timeout, Meta(description="To reach the origin.")] = 2.0
    read_timeout: Annotated[Timeout, Meta(description="Between two chunks.")] = 10.0
    total_timeout: Annotated[
        Timeout, Meta(description="For one original to be rendered; streams are not bound by it.")
    ] = 30.0
    max_bytes: Annotated[Size, Meta(description="A larger original is not rendered (413).")] = 64 * 2**20
    max_stream_bytes: Annotated[Size, Meta(description="A larger original is not streamed either.")] = 8 * 2**30
    connections: Annotated[int, Meta(ge=1, description="Connections at once, in each worker.")] = 64
    redirects: Annotated[int, Meta(ge=0, le=10, description="Redirects followed; each target is checked again.")] = 0
    allow_networks: Annotated[
        tuple[str, ...],
        Meta(description="Networks that this origin may have though they are not public, such as 10.0.0.0/8."),
    ] = ()
    headers: Annotated[
        dict[str, Secret], Meta(description="Sent to the origin and nowhere else, such as Authorization.")
    ] = field(default_factory=dict)
    endpoint: Annotated[str, Meta(description="s3: another endpoint than Amazon's, with scheme.")] = ""
    access_key_id: Annotated[Secret, Meta(description="s3: static key; empty takes the environment's chain.")] = ""
    secret_access_key: Annotated[Secret, Meta(description="s3: its secret.")] = ""

    def __repr__(self) -> str:
        # Credentials must never reach a log by way of a traceback or a debug line.
        return f"OriginSettings(url={self.url!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("url", self.url)]


class MatchSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which requests belong to a site."""

    host: Annotated[str, Meta(description="Host name, or * for any.")] = "*"
    prefix: Annotated[str, Meta(description="Path prefix; it is not part of the object's key.")] = "/"


class SiteSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One public front of one origin."""

    name: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9_-]{0,62}$", description="Stable name; a metrics label.")]
    origin: Annotated[str, Meta(description="Name of its origin.")]
    match: Annotated[MatchSettings, Meta(description="Host and prefix.")] = MatchSettings()
    accept: Annotated[
        tuple[str, ...], Meta(min_length=1, description="Signature dialects. The request never chooses among hosts.")
    ] = ("native",)
    outer: Annotated[
        Literal["", "cloudfront_cookie", "gcp_cdn_cookie", "gcp_media_cdn_cookie", "rfc9421"],
        Meta(description="A dialect in cookies or header fields that each request must pass too. Empty: none."),
    ] = ""
    audience: Annotated[str, Meta(description="Signed into native URLs. Empty: the site's name.")] = ""
    watermark: Annotated[str, Meta(description="Name of the watermark on everything this site shows.")] = ""
    presets_only: Annotated[bool, Meta(description="Refuse operations that are not those of a preset.")] = False
    max_age: Annotated[
        Duration, Meta(description="Longest freshness for caches downstream; never beyond the signature's life.")
    ] = 3600.0
    shared_caches: Annotated[
        bool, Meta(description="Whether a CDN may keep answers. False: Cache-Control private.")
    ] = False
    dialects: Annotated[
        dict[str, dict[str, OptionText]],
        Meta(description="Options of accepted dialects by name; dialects.md lists them."),
    ] = field(default_factory=dict)
    policy: Annotated[str, Meta(description="Name of the policy template that every request must fulfil.")] = ""
    base_url: Annotated[
        str, Meta(description="https://HOST as viewers see it, for dialects that sign it. Empty: none is known.")
    ] = ""
    networks: Annotated[
        tuple[str, ...], Meta(description="Networks whose clients the site is open to. Empty: everybody's.")
    ] = ()
    catalogue: Annotated[
        str,
        Meta(description="Where brand and barcode stand in object keys, such as {brand}/{barcode}.jpg, for scopes."),
    ] = ""
    cdns: Annotated[
        tuple[str, ...], Meta(description="Names of the CDNs that keep this site's answers; what is revoked is purged.")
    ] = ()
    sources: Annotated[
        tuple[str, ...],
        Meta(description="URL prefixes that mean this site's origin, for dialects whose URLs hold a source's URL."),
    ] = ()


class WatchSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the gateway does by itself about refusals."""

    refusals: Annotated[
        int, Meta(ge=0, le=1000, description="Refusals of one address that block it for a while. 0: none do.")
    ] = 300
    refusals_window: Annotated[Timeout, Meta(description="They are counted within this time.")] = 60.0
    block: Annotated[Timeout, Meta(description="For so long is the address blocked.")] = 60.0
    failures: Annotated[
        int,
        Meta(ge=0, le=1000, description="An authentic URL that fails so many times in a row is revoked. 0: none is."),
    ] = 3
    critical: Annotated[
        tuple[
            Literal["address_mismatch", "country_mismatch", "country_not_allowed", "client_ip_not_allowed", "used"], ...
        ],
        Meta(description="Reasons for which it is revoked at once, and on-call is told."),
    ] = ("country_mismatch",)


class RotationSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the keys of a dialect follow one another; keys.md tells more."""

    every: Annotated[
        float,
        Meta(ge=60, le=3650 * 86_400, description="A key signs for so long.", extra={"unit": "duration"}),
    ] = 604_800.0
    publish_ahead: Annotated[
        Duration,
        Meta(
            description="A key is published for so long before it signs: longer than the file takes to reach every gateway."
        ),
    ] = 3600.0
    overlap: Annotated[
        Duration,
        Meta(
            description="A key verifies for so long beyond the longest life of what it signed: longer than the file takes "
            "to reach every signer, and than caches keep pages with URLs that have no end."
        ),
    ] = 86_400.0


class CdnSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A CDN, or a cache of ours, that forgets what is revoked."""

    kind: Annotated[CdnKind, Meta(description="Whose it is; purge.md tells what each needs.")]
    zone: Annotated[
        str,
        Meta(
            description="Id of Cloudflare's zone, Fastly's service, CloudFront's distribution, KeyCDN's or Bunny's zone."
        ),
    ] = ""
    token: Annotated[Secret, Meta(description="Cloudflare, Fastly, KeyCDN, Bunny: the API token or key.")] = ""
    access_key_id: Annotated[Secret, Meta(description="cloudfront: static key.")] = ""
    secret_access_key: Annotated[Secret, Meta(description="cloudfront: its secret.")] = ""
    client_token: Annotated[Secret, Meta(description="akamai: of the EdgeGrid credentials.")] = ""
    client_secret: Annotated[Secret, Meta(description="akamai: of the EdgeGrid credentials.")] = ""
    access_token: Annotated[Secret, Meta(description="akamai: of the EdgeGrid credentials.")] = ""
    addresses: Annotated[
        tuple[str, ...], Meta(description="varnish, nginx: every cache, such as http://10.0.0.5:6081.")
    ] = ()
    endpoint: Annotated[
        str, Meta(description="Scheme and host of the API. Empty: the vendor's; Akamai's stands in the credentials.")
    ] = ""
    tag_header: Annotated[
        str,
        Meta(
            description="Header of surrogate keys, where it is another than the kind's; cloudfront: CacheTagConfig's."
        ),
    ] = ""
    timeout: Annotated[Timeout, Meta(description="For one call.")] = 10.0

    @property
    def tagged_in(self) -> str:
        """The header field in which it takes surrogate keys, "" where it has none."""
        return self.tag_header or CDN_TRAITS[self.kind].tag_header

    def __repr__(self) -> str:
        return f"CdnSettings(kind={self.kind!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("kind", self.kind)]


class WebhookSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An address to which notices are posted, signed as Standard Webhooks have it."""

    url: Annotated[Secret, Meta(description="http: or https: address.")]
    secret: Annotated[Secret, Meta(description="whsec_ and 24 to 64 bytes in base64, shared with who receives.")]
    severity: Annotated[
        Literal["critical", "warning", "info"], Meta(description="Least severity; info is for a SIEM.")
    ] = "critical"

    def __repr__(self) -> str:
        return "WebhookSettings()"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return []


class MailSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Mail to people on call."""

    server: Annotated[str, Meta(description="HOST:PORT of an SMTP server. Empty: no mail.")] = ""
    security: Annotated[
        Literal["starttls", "tls", "none"],
        Meta(description="tls: from the first byte; none: for a server on this machine."),
    ] = "starttls"
    user: Annotated[str, Meta(description="To log in with. Empty: no login.")] = ""
    password: Annotated[Secret, Meta(description="Its password.")] = ""
    sender: Annotated[str, Meta(description="Address in From.")] = ""
    recipients: Annotated[tuple[str, ...], Meta(description="Addresses in To.")] = ()
    severity: Annotated[Literal["critical", "warning", "info"], Meta(description="Least severity.")] = "critical"

    def __repr__(self) -> str:
        return f"MailSettings(server={self.server!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("server", self.server)]


class NotifySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is told what happened."""

    webhooks: Annotated[tuple[WebhookSettings, ...], Meta(description="On-call services and a SIEM.")] = ()
    mail: Annotated[MailSettings, Meta(description="Mail.")] = MailSettings()
    runbook: Annotated[
        str, Meta(description="Your runbook's address; mail links to it with the notice's kind behind #.")
    ] = ""


class WatermarkSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A visible mark."""

    image: Annotated[str, Meta(description="PNG, WebP or JPEG file.")]
    opacity: Annotated[float, Meta(gt=0, le=1, description="Strength.")] = 0.5
    position: Annotated[
        Literal["center", "north", "south", "east", "west", "northeast", "northwest", "southeast", "southwest"],
        Meta(description="Where it stands."),
    ] = "southeast"
    scale: Annotated[float, Meta(gt=0, le=1, description="Its width as a share of the picture's.")] = 0.2
    margin: Annotated[float, Meta(ge=0, le=0.5, description="Distance from the edges, as a share of the width.")] = 0.02
    tile: Annotated[bool, Meta(description="Repeated over the whole picture.")] = False


class RevocationSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The local copy of the list of revocations."""

    max_staleness: Annotated[
        float,
        Meta(
            ge=1.5,
            le=86_400,
            description="The store gives a sign of life each second; a longer silence makes the copy stale.",
            extra={"unit": "duration"},
        ),
    ] = 2.0
    when_stale: Annotated[
        Literal["refuse", "serve"],
        Meta(description="While the copy is stale: refuse answers 503, serve goes on with what is known."),
    ] = "refuse"
    folder: Annotated[
        str,
        Meta(
            description="Where this machine's copy lies. Empty: revocations beside the SQLite file, or in ./state with "
            "another store."
        ),
    ] = ""


class AdminSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The admin API at server.admin."""

    tokens: Annotated[
        str,
        Meta(
            description="File of admin tokens, of which `countermark admin token new` makes entries. Empty: the API is off."
        ),
    ] = ""


class SessionSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sessions that clients sign in."""

    max_life: Annotated[
        float,
        Meta(
            ge=1,
            le=366 * 86_400,
            description="No session lives longer, however often it is refreshed.",
            extra={"unit": "duration"},
        ),
    ] = 43_200.0


class LogSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written to standard error."""

    format: Annotated[Literal["json", "console", "auto"], Meta(description="auto: console on a terminal.")] = "auto"
    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="Least level written.")] = "info"
    requests: Annotated[bool, Meta(description="One line a request.")] = True


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    server: Annotated[ServerSettings, Meta(description="Listening.")] = ServerSettings()
    geo: Annotated[GeoSettings, Meta(description="Countries of addresses.")] = GeoSettings()
    keys: Annotated[str, Meta(description="The keyring file.")] = "./keys.yaml"
    keys_history: Annotated[
        str, Meta(description="File to which each change of a key is appended, without material. Empty: none.")
    ] = "./keys-history.jsonl"
    kms: Annotated[
        str,
        Meta(
            pattern="^$|^(local|aws|gcp|vault|pkcs11):.",
            description="What wraps sealed keys: local:FILE, aws:KEY-ARN, gcp:projects/…/cryptoKeys/KEY, "
            "vault:https://HOST/MOUNT/KEY or pkcs11:MODULE?token=…&key=…&pin_file=…. Empty: keys are not sealed.",
        ),
    ] = ""
    rotation: Annotated[
        dict[str, RotationSettings],
        Meta(description="Dialects whose keys `countermark keys rotate` rotates, such as native and session."),
    ] = field(default_factory=dict)
    store: Annotated[
        Secret,
        Meta(
            description="What workers and machines remember together (docs/stores.md): sqlite:FILE, redis://HOST:PORT/0, "
            "redis+sentinel://HOST:PORT,HOST:PORT/NAME or redis+cluster://HOST:PORT,HOST:PORT; rediss: over TLS."
        ),
    ] = "sqlite:./state/countermark.db"
    clients: Annotated[
        str, Meta(description="The file of registered clients. Empty: client ids in URLs are names like any other.")
    ] = ""
    watch: Annotated[WatchSettings, Meta(description="What is done about refusals.")] = WatchSettings()
    policies: Annotated[
        str, Meta(description="Folder of policy templates, such as ./policies; policies.md tells more. Empty: none.")
    ] = ""
    admin: Annotated[AdminSettings, Meta(description="The admin API.")] = AdminSettings()
    sessions: Annotated[SessionSettings, Meta(description="Sessions.")] = SessionSettings()
    revocation: Annotated[RevocationSettings, Meta(description="What was taken back.")] = RevocationSettings()
    cache: Annotated[CacheSettings, Meta(description="Finished pictures.")] = CacheSettings()
    render: Annotated[RenderSettings, Meta(description="The render wall.")] = field(default_factory=RenderSettings)
    origins: Annotated[dict[str, OriginSettings], Meta(description="Stores of originals by name.")] = field(
        default_factory=dict
    )
    sites: Annotated[tuple[SiteSettings, ...], Meta(description="Public fronts; the longest prefix wins.")] = ()
    presets: Annotated[
        dict[str, str], Meta(description="Named operations, written as a query: card: w=400&h=300&fit=cover.")
    ] = field(default_factory=dict)
    watermarks: Annotated[dict[str, WatermarkSettings], Meta(description="Visible marks by name.")] = field(
        default_factory=dict
    )
    cdns: Annotated[dict[str, CdnSettings], Meta(description="CDNs by name.")] = field(default_factory=dict)
    notify: Annotated[NotifySettings, Meta(description="Whom to tell.")] = NotifySettings()
    log: Annotated[LogSettings, Meta(description="Logging.")] = LogSettings()

    def __repr__(self) -> str:
        # The store's URL may hold a password, which must not reach a log by way of a traceback.
        return f"Settings(server={self.server!r}, origins={self.origins!r}, sites={self.sites!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("server", self.server), ("origins", self.origins), ("sites", self.sites)]

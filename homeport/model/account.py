"""The account behind a region: who may call, what it prefers, and which calls it has already answered."""

from msgspec import Struct


class Region(Struct, frozen=True, kw_only=True):
    """The one row that a data directory starts with."""

    account_id: str
    region: str
    seed: int
    created_at: float


class AccessKey(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A long-lived access key; the secret is sealed with the data directory's master key (purpose `access-key`)."""

    access_key_id: str
    sealed_secret: str
    principal_arn: str
    created_at: float


class AccountSetting(Struct, frozen=True, kw_only=True):
    """`principal_arn` is "" for the account's default (PutAccountSettingDefault)."""

    principal_arn: str
    name: str
    value: str

    @property
    def key(self) -> str:
        return f"{self.principal_arn}|{self.name}"


class ClientToken(Struct, frozen=True, kw_only=True):
    """An idempotency token: which parameters it came with and which rows answered it.

    `key` is `operation|cluster ARN|token`; `fingerprint` a hash of the request. Source: DG, ECS_Idempotency.
    """

    key: str
    fingerprint: str
    result: tuple[str, ...]
    expires_at: float

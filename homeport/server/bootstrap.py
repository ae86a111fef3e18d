"""The first start of a data directory: an account, a root access key, the `default` cluster.

The root key's secret is drawn once, sealed with the directory's master key, kept in the store (to verify signatures)
and in `root-key.json` (so that `homeport env` and the local agent can sign). It is never printed or logged.
"""

import os
from pathlib import Path

import msgspec

from homeport.base.arn import Arns
from homeport.base.ids import Ids
from homeport.base.local import RootKey, root_key_path
from homeport.base.seal import Sealer
from homeport.model.account import AccessKey, Region
from homeport.model.cluster import Cluster
from homeport.store.store import Store, Tx


class WrongRegionError(Exception):
    """The data directory belongs to another region."""


def bootstrap(store: Store, sealer: Sealer, ids: Ids, *, region: str, data_dir: Path) -> Arns:
    """Make what is missing and return the region's ARN maker. Raises WrongRegionError."""
    if not len(store.read.regions):
        secret = ids.letters(20) + ids.letters(20).lower()
        store.update(lambda tx: _found_region(tx, region, sealer, secret))
    (row,) = store.read.regions
    if row.region != region:
        raise WrongRegionError(
            f"{data_dir} holds region {row.region}; start with --region {row.region} or another --data-dir"
        )
    key = next(key for key in store.read.access_keys if key.principal_arn.endswith(":root"))
    _write_private(
        root_key_path(data_dir),
        msgspec.json.encode(RootKey(key.access_key_id, key.sealed_secret, row.account_id, row.region)),
    )
    return Arns(region, row.account_id)


def _found_region(tx: Tx, region: str, sealer: Sealer, secret: str) -> None:
    account_id = tx.ids.digits(12)
    arns = Arns(region, account_id)
    tx.regions.put(Region(account_id=account_id, region=region, seed=int(tx.ids.digits(15)), created_at=tx.now))
    tx.access_keys.put(
        AccessKey(
            access_key_id=f"AKIA{tx.ids.letters(16)}",
            sealed_secret=sealer.seal("access-key", secret.encode()),
            principal_arn=arns.root(),
            created_at=tx.now,
        )
    )
    tx.clusters.put(Cluster(arn=arns.cluster("default"), name="default", created_at=tx.now))


def _write_private(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(".new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    temporary.replace(path)

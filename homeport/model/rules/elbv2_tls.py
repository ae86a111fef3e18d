"""ELB's predefined security policies: which TLS versions and ciphers each allows (OpenSSL's names, in order).

Four ciphers that ELB has beside these are in no TLS library of today's data planes, so no policy here offers them:
AES128-SHA256, AES256-SHA256 and ECDHE-(RSA|ECDSA)-AES256-SHA384.
Source: ALB User Guide, "Security policies for your Application Load Balancer".
"""

from typing import NamedTuple

DEFAULT_POLICY = "ELBSecurityPolicy-2016-08"

_TLS13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_GCM = (
    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
)  # fmt: skip
_CBC_SHA2 = ("ECDHE-ECDSA-AES128-SHA256", "ECDHE-RSA-AES128-SHA256")
_CBC_SHA1 = ("ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES256-SHA", "ECDHE-ECDSA-AES256-SHA")
_RSA_SHA2 = ("AES128-GCM-SHA256", "AES256-GCM-SHA384")
_RSA_SHA1 = ("AES128-SHA", "AES256-SHA")
_ALL = (*_GCM, *_CBC_SHA2, *_CBC_SHA1, *_RSA_SHA2, *_RSA_SHA1)
_FORWARD_SECRET = (*_GCM, *_CBC_SHA2, *_CBC_SHA1)


class Policy(NamedTuple):
    """`protocols` such as `TLSv1.2`, lowest first; `ciphers` of TLS 1.3 and below in one list."""

    protocols: tuple[str, ...]
    ciphers: tuple[str, ...]

    @property
    def choosable_ciphers(self) -> tuple[str, ...]:
        """Those below TLS 1.3, which has its ciphers by itself."""
        return tuple(name for name in self.ciphers if name not in _TLS13)


def _versions(low: str, high: str) -> tuple[str, ...]:
    every = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
    return every[every.index(low) : every.index(high) + 1]


POLICIES: dict[str, Policy] = {
    "ELBSecurityPolicy-2016-08": Policy(_versions("TLSv1", "TLSv1.2"), _ALL),
    "ELBSecurityPolicy-TLS-1-1-2017-01": Policy(_versions("TLSv1.1", "TLSv1.2"), _ALL),
    "ELBSecurityPolicy-TLS-1-2-2017-01": Policy(("TLSv1.2",), (*_GCM, *_CBC_SHA2, *_RSA_SHA2)),
    "ELBSecurityPolicy-TLS-1-2-Ext-2018-06": Policy(("TLSv1.2",), _ALL),
    "ELBSecurityPolicy-FS-2018-06": Policy(_versions("TLSv1", "TLSv1.2"), _FORWARD_SECRET),
    "ELBSecurityPolicy-FS-1-1-2019-08": Policy(_versions("TLSv1.1", "TLSv1.2"), _FORWARD_SECRET),
    "ELBSecurityPolicy-FS-1-2-2019-08": Policy(("TLSv1.2",), _FORWARD_SECRET),
    "ELBSecurityPolicy-FS-1-2-Res-2019-08": Policy(("TLSv1.2",), (*_GCM, *_CBC_SHA2)),
    "ELBSecurityPolicy-FS-1-2-Res-2020-10": Policy(("TLSv1.2",), _GCM),
    "ELBSecurityPolicy-TLS13-1-3-2021-06": Policy(("TLSv1.3",), _TLS13),
    "ELBSecurityPolicy-TLS13-1-2-Res-2021-06": Policy(_versions("TLSv1.2", "TLSv1.3"), (*_TLS13, *_GCM)),
    "ELBSecurityPolicy-TLS13-1-2-2021-06": Policy(_versions("TLSv1.2", "TLSv1.3"), (*_TLS13, *_GCM, *_CBC_SHA2)),
    "ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06": Policy(
        _versions("TLSv1.2", "TLSv1.3"), (*_TLS13, *_GCM, *_CBC_SHA2, *_RSA_SHA2)
    ),
    "ELBSecurityPolicy-TLS13-1-2-Ext2-2021-06": Policy(_versions("TLSv1.2", "TLSv1.3"), (*_TLS13, *_ALL)),
    "ELBSecurityPolicy-TLS13-1-1-2021-06": Policy(_versions("TLSv1.1", "TLSv1.3"), (*_TLS13, *_ALL)),
    "ELBSecurityPolicy-TLS13-1-0-2021-06": Policy(_versions("TLSv1", "TLSv1.3"), (*_TLS13, *_ALL)),
}
#: Policies for FIPS and post-quantum key exchange are not here: the data plane has no such module.

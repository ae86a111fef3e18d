"""Session credentials are known again without having been kept."""

import random

from homeport.base.ids import Ids
from homeport.base.seal import Sealer
from homeport.base.session import mint_session, open_session

SEALER = Sealer(b"k" * 32)


def mint(**changes):
    options = {
        "principal_arn": "arn:p",
        "account_id": "1",
        "task_arn": "arn:t",
        "now": 100.0,
        "lifetime": 60.0,
    } | changes
    return mint_session(SEALER, Ids(random.Random(1)), **options)


def test_session_when_minted_then_opens_with_the_same_secret():
    made = mint()
    opened = open_session(Sealer(b"k" * 32), made.access_key_id, made.session_token, 159.9)
    assert opened.secret_access_key == made.secret_access_key
    assert (opened.session.principal_arn, opened.session.task_arn, opened.is_expired) == ("arn:p", "arn:t", False)
    assert made.access_key_id.startswith("ASIA")
    assert len(made.access_key_id) == 20
    assert made.expires_at == 160.0


def test_session_when_its_time_is_over_then_expired():
    made = mint()
    assert open_session(SEALER, made.access_key_id, made.session_token, 160.0).is_expired


def test_session_when_forged_or_foreign_then_unknown():
    made = mint()
    assert open_session(SEALER, "ASIAOTHER", made.session_token, 100.0) is None
    assert open_session(Sealer(b"x" * 32), made.access_key_id, made.session_token, 100.0) is None
    assert open_session(SEALER, made.access_key_id, made.session_token[:-4] + "AAAA", 100.0) is None
    assert open_session(SEALER, made.access_key_id, "", 100.0) is None
    assert open_session(SEALER, made.access_key_id, "\udcff", 100.0) is None


def test_session_when_minted_twice_then_other_secrets():
    assert mint().secret_access_key != mint().secret_access_key

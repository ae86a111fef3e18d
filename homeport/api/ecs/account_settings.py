"""Account settings: a principal's own values over the account's defaults over AWS's.

The root user has no values of its own: what it sets is the account's default, as on AWS.
"""

import re

from homeport.api.operation import Context, operation
from homeport.api.paginate import paginate
from homeport.model.account import AccountSetting
from homeport.model.rules.account import RULES, check_setting, setting_type
from homeport.shapes import ecs as shapes
from homeport.store.schema import Tables
from homeport.store.store import Tx

MOST_LISTED = 10
_PRINCIPAL = re.compile(r"arn:[a-z-]+:iam::(\d{12}):(?:root|user/.+|role/.+)\Z")


def effective_value(ctx: Context, tx: Tables, principal_arn: str, name: shapes.SettingName) -> str:
    """What holds for a principal."""
    own = tx.account_settings.get(f"{_key(ctx, principal_arn)}|{name}")
    row = own or tx.account_settings.get(f"|{name}")
    return row.value if row else RULES[name].default


def _key(ctx: Context, principal_arn: str) -> str:
    """Under what a principal's values are kept: the root user's are the account's defaults."""
    return "" if principal_arn == ctx.arns.root() else principal_arn


def _principal(ctx: Context, asked: str | None) -> str:
    """Whose settings are meant: the caller's own, or, for the root user, anybody's in the account."""
    caller = ctx.identity.principal_arn
    if asked is None or asked == caller:
        return caller
    found = _PRINCIPAL.match(asked)
    if not found or found[1] != ctx.arns.account_id:
        raise shapes.InvalidParameterException(f"Invalid principalArn: {asked}")
    if caller != ctx.arns.root():
        raise shapes.AccessDeniedException(
            "Only the root user can work with the account settings of another principal."
        )
    return asked


def _setting(name: shapes.SettingName, value: str, principal_arn: str) -> shapes.Setting:
    return shapes.Setting(name=name, value=value, principal_arn=principal_arn, type=setting_type(name))


@operation(shapes.SERVICE, "PutAccountSetting")
def put_account_setting(
    ctx: Context, tx: Tx, request: shapes.PutAccountSettingRequest
) -> shapes.PutAccountSettingResponse:
    principal = _principal(ctx, request.principal_arn)
    return shapes.PutAccountSettingResponse(setting=_put(ctx, tx, principal, request.name, request.value))


@operation(shapes.SERVICE, "PutAccountSettingDefault")
def put_account_setting_default(
    ctx: Context, tx: Tx, request: shapes.PutAccountSettingDefaultRequest
) -> shapes.PutAccountSettingDefaultResponse:
    return shapes.PutAccountSettingDefaultResponse(setting=_put(ctx, tx, ctx.arns.root(), request.name, request.value))


def _put(ctx: Context, tx: Tx, principal: str, name: shapes.SettingName, value: str) -> shapes.Setting:
    value = check_setting(name, value)
    tx.account_settings.put(AccountSetting(principal_arn=_key(ctx, principal), name=name, value=value))
    return _setting(name, value, principal)


@operation(shapes.SERVICE, "DeleteAccountSetting")
def delete_account_setting(
    ctx: Context, tx: Tx, request: shapes.DeleteAccountSettingRequest
) -> shapes.DeleteAccountSettingResponse:
    """Back to the default; the answer shows the value that holds from now on."""
    principal = _principal(ctx, request.principal_arn)
    tx.account_settings.delete(f"{_key(ctx, principal)}|{request.name}")
    value = effective_value(ctx, tx, principal, request.name)
    return shapes.DeleteAccountSettingResponse(setting=_setting(request.name, value, principal))


@operation(shapes.SERVICE, "ListAccountSettings")
def list_account_settings(
    ctx: Context, tx: Tables, request: shapes.ListAccountSettingsRequest
) -> shapes.ListAccountSettingsResponse:
    """A principal's own values, or with `effectiveSettings` what holds for it; at most ten a page."""
    if request.value is not None and request.name is None:
        raise shapes.InvalidParameterException("You must specify an account setting name to filter by value.")
    principal = _principal(ctx, request.principal_arn)
    own = {row.name: row.value for row in tx.account_settings.by(principal_arn=_key(ctx, principal))}
    settings = [
        _setting(name, effective_value(ctx, tx, principal, name), principal)
        for name in sorted(RULES)
        if (request.effective_settings or name in own) and request.name in (None, name)
    ]
    page, token = paginate(
        [setting for setting in settings if request.value in (None, setting.value)],
        key=lambda setting: setting.name or "",
        token=request.next_token,
        limit=request.max_results,
        most=MOST_LISTED,
        default=MOST_LISTED,
    )
    return shapes.ListAccountSettingsResponse(settings=page, next_token=token)

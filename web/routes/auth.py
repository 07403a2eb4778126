"""Staff login, logout and change of password: plain HTML forms that need no script."""

from functools import cache
from importlib.resources import files
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, select_autoescape
from pydantic import BaseModel
from starlette.responses import Response

from bot import audit
from bot.accounts import MAX_PASSWORD_CHARS, MIN_PASSWORD_CHARS
from bot.errors import LoginFailed, LoginLocked, PasswordRejected
from web.dependencies import ContextDep, WebContext
from web.errors import STATUS, HttpProblem, describe, kind_of
from web.language import ui_language
from web.security import COOKIE
from web.ui.language import COOKIE as LANGUAGE_COOKIE

router = APIRouter(include_in_schema=False)
HOME = "/staff/"


class LoginForm(BaseModel):
    """What the login page sends; a missing field is an empty one."""

    name: str = ""
    password: str = ""
    next: str = ""
    lang: str = ""


class PasswordForm(BaseModel):
    """What the page that changes a password sends."""

    current: str = ""
    new: str = ""
    again: str = ""
    next: str = ""
    lang: str = ""


@router.get("/login")
def login_page(request: Request, next: str = "", lang: str = "") -> Response:
    """Shows the login form."""
    return _page(request, "login.html", lang=lang, next=_local(next))


@router.post("/auth/login")
def login(request: Request, context: ContextDep, form: Annotated[LoginForm, Form()]) -> Response:
    """Checks the password and sets the login cookie."""
    address = context.gate.address(request)
    target = _local(form.next)
    try:
        token = context.services.accounts.login(form.name, form.password, address=address)
    except (LoginFailed, LoginLocked) as error:
        shown = {"next": target, "name": form.name}
        return _page(request, "login.html", lang=form.lang, error=error, **shown)
    audit.record(context.services.engine, form.name, action="login")
    user = context.services.accounts.resolve(token, kind="cookie")
    if user is not None and user.must_change_password:
        target = f"/auth/password?next={quote(target)}"
    return _with_cookie(request, context, token=token, target=target)


@router.post("/auth/logout")
def logout(request: Request, context: ContextDep) -> Response:
    """Ends the login and forgets the cookie."""
    token = context.gate.cookie_token(request)
    if token is not None:
        context.services.accounts.logout(token)
    response = RedirectResponse(_root(request) + "/login", 303)
    response.delete_cookie(COOKIE, path=_root(request) or "/")
    return response


@router.get("/auth/password")
def password_page(
    request: Request,
    context: ContextDep,
    next: str = "",
    lang: str = "",
) -> Response:
    """Shows the form that changes the password."""
    if context.gate.user(request) is None:
        return RedirectResponse(_root(request) + "/login", 303)
    return _page(request, "password.html", lang=lang, next=_local(next))


@router.post("/auth/password")
def change_password(
    request: Request, context: ContextDep, form: Annotated[PasswordForm, Form()]
) -> Response:
    """Sets a password of the user's own; other logins end."""
    user = context.gate.user(request)
    if user is None:
        return RedirectResponse(_root(request) + "/login", 303)
    target = _local(form.next)
    try:
        if form.new != form.again:
            raise HttpProblem("passwords_differ")
        token = context.services.accounts.change_password(user.name, form.current, form.new)
    except (LoginFailed, LoginLocked, PasswordRejected, HttpProblem) as error:
        return _page(request, "password.html", lang=form.lang, error=error, next=target)
    audit.record(context.services.engine, user.name, action="password.change")
    return _with_cookie(request, context, token=token, target=target)


def _with_cookie(request: Request, context: WebContext, *, token: str, target: str) -> Response:
    settings = context.services.settings.web
    response = RedirectResponse(_root(request) + target, 303)
    response.set_cookie(
        COOKIE,
        context.gate.sign(token),
        max_age=settings.login_hours * 3600,
        path=_root(request) or "/",
        secure=settings.secure_cookies,
        httponly=True,
        samesite="lax",
    )
    return response


def _page(
    request: Request, template: str, *, lang: str, error: Exception | None = None, **values: str
) -> Response:
    """Renders a form, with what went wrong the last time."""
    catalogue = request.app.state.catalogue
    chosen = lang or request.cookies.get(LANGUAGE_COOKIE, "")
    language = ui_language(chosen or request.headers.get("accept-language", ""))
    headers = {"Cache-Control": "no-store"}
    status = 200
    if error is not None:
        status = STATUS[kind_of(error)]
        values["title"], values["detail"] = describe(error, catalogue, language)
    if isinstance(error, LoginLocked):
        headers["Retry-After"] = str(error.retry_after_s)
    page = _templates().get_template(template)
    html = page.render(
        values,
        language=language,
        root=_root(request),
        here="/login" if template == "login.html" else "/auth/password",
        min_chars=MIN_PASSWORD_CHARS,
        max_chars=MAX_PASSWORD_CHARS,
        t=lambda key: catalogue.text(f"login.{key}", language),
    )
    return HTMLResponse(html, status, headers=headers)


@cache
def _templates() -> Environment:
    folder = str(files("web").joinpath("templates"))
    return Environment(loader=FileSystemLoader(folder), autoescape=select_autoescape())


def _root(request: Request) -> str:
    return str(request.scope.get("root_path", "")).rstrip("/")


def _local(target: str) -> str:
    """Only a path of our own is a place to go on to; anything else leads to the first page."""
    is_own = target.startswith("/") and not target.startswith("//")
    return target if is_own and target.isprintable() and "\\" not in target else HOME

"""Who may change something: a page of ours (CSRF token) or the command line (bearer token).

The CSRF token is bound to a cookie: `token = HMAC-SHA256(key of this process, cookie)`. The cookie
is HttpOnly and SameSite=Strict, so another site can neither send nor read it; the token travels in
a header, which another site cannot set without CORS, which we do not speak. The key lives as long
as the process: after a restart a page fetches a new token (`GET /api/session`) and goes on.
"""

import hashlib
import hmac
import secrets
import stat
from pathlib import Path

from agent.core.errors import ConfigError
from agent.secret_file import create_secret

COOKIE = "caselink"
CSRF_HEADER = "x-csrf-token"
_TOKEN_BYTES = 32
_TOKEN_CHARS = 256  # longest token we read from a file or a header


class Sessions:
    """Makes and checks the pair of cookie and CSRF token."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(_TOKEN_BYTES)

    def new_cookie(self) -> str:
        """A fresh cookie value: 256 random bits."""
        return secrets.token_urlsafe(_TOKEN_BYTES)

    def token(self, cookie: str) -> str:
        """The CSRF token that belongs to a cookie."""
        return hmac.new(self._key, cookie.encode(), hashlib.sha256).hexdigest()

    def valid(self, cookie: str, token: str) -> bool:
        """Whether the token belongs to the cookie (compared in constant time)."""
        return bool(cookie) and hmac.compare_digest(self.token(cookie).encode(), token.encode())


def same_token(given: str, expected: str) -> bool:
    """Whether a bearer token is the expected one (compared in constant time)."""
    if not expected or len(given) > _TOKEN_CHARS:
        return False
    return hmac.compare_digest(given.encode(), expected.encode())


def local_token(path: Path) -> str:
    """The command line's bearer token, from a file that only its owner can read.

    The file is made with mode 0600 when it is missing. ConfigError when it is readable by others,
    empty, or cannot be read or written.
    """
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    try:
        create_secret(path, token)
    except FileExistsError:
        return _read_token(path)
    except OSError as error:
        raise ConfigError(f"{path}: the web token cannot be written ({error.strerror})") from error
    return token


def _read_token(path: Path) -> str:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise ConfigError(
                f"{path}: others can read the web token (mode {mode:04o}); run: chmod 600 {path}"
            )
        with path.open(encoding="ascii", errors="replace") as file:
            token = file.read(_TOKEN_CHARS + 1).strip()
    except OSError as error:
        raise ConfigError(f"{path}: the web token cannot be read ({error.strerror})") from error
    if not 16 <= len(token) <= _TOKEN_CHARS:
        raise ConfigError(f"{path}: not a web token; delete the file and start the agent again")
    return token

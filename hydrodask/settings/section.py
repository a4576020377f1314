"""What every part of the configuration is, and what those have that log in somewhere."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from hydrodask.settings.hidden import Password, secret_of


class Section(BaseModel):
    """A part of the configuration: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Login(Section):
    """Who we are to a server."""

    username: str | None = None
    password: Password | None = None
    password_file: Path | None = None

    def secret(self, key: str | None = None) -> str | None:
        """Return the password, from the file if only that is named. Raises ConfigError when it can't be read.

        `key` is the setting that names the file, where that does not follow from the section's own name.
        """
        if self.password is not None or self.password_file is None:
            return self.password.plain() if self.password else None
        return secret_of(self.password_file, key or f"{type(self).__name__.lower()}.password_file")

"""Who asks for a change: the name of an admin token, and the sites that it is for."""

from __future__ import annotations

from msgspec import Struct

from countermark.core.errors import RoleMissing


class Actor(Struct, frozen=True, kw_only=True):
    """`sites` are names; ("*",) is every site, and what concerns no single one."""

    name: str
    sites: tuple[str, ...] = ("*",)

    def covers(self, site: str) -> bool:
        """Whether this site is one of his."""
        return "*" in self.sites or site in self.sites

    def require(self, site: str) -> None:
        """Raises RoleMissing for a site that is none of his."""
        if not self.covers(site):
            raise RoleMissing(f"This token is for {', '.join(self.sites)} only.")

    def require_all(self) -> None:
        """Raises RoleMissing where he is bound to sites, for what reaches beyond any of them."""
        if "*" not in self.sites:
            raise RoleMissing(
                f"This token is for {', '.join(self.sites)} only, and what it asks for concerns every site."
            )

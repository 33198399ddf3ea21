"""What a vendor's folder offers: its models, and what reaches them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from pydantic import create_model

from asrgateway_server.backends.base import Backend
from asrgateway_server.metrics import Metrics
from asrgateway_server.models import Catalogue, Model
from asrgateway_server.settings import Settings

S = TypeVar("S", bound=Settings)


class Vendor(Protocol[S]):
    """Offers models under the operator's settings, and opens the backends that reach them."""

    @property
    def settings(self) -> type[S]:
        """The gateway's settings and the vendor's own."""

    @property
    def catalogue(self) -> Sequence[Model]:
        """All models of the vendor, whether they are served or not."""

    @property
    def backends(self) -> Mapping[str, Model]:
        """What an operator's own model begins as, for each backend of the vendor by name; no two vendors share one."""

    @property
    def default_model(self) -> str:
        """The model for clients that name none."""

    @property
    def first_settings(self) -> Mapping[str, str]:
        """What an operator sets first, as ``VARIABLE=VALUE``, and what each does, in a few words."""

    @property
    def metadata(self) -> Collection[str]:
        """Names of the metadata that clients may bring for this vendor, in lower case."""

    def verify_metadata(self, brought: Mapping[str, str]) -> None:
        """Raise InvalidRequest, which names the metadata and never its value, if a client may not bring this."""

    def has_account(self, settings: S) -> bool:
        """Whether clients need no key of their own for ``default_model``."""

    def served(self, settings: S) -> Sequence[Model]:
        """Return the models that can be reached, each at its endpoint.

        Raises:
            SettingsError: An endpoint is not what it may be.
        """

    def placed(self, model: Model, endpoint: str, settings: S) -> Model:
        """Return an operator's own model at an endpoint; at the vendor's own one for an empty name.

        Raises:
            ValueError: It cannot be there; the message says why.
        """

    def open_files(self, settings: S) -> int:
        """Return how many files it keeps open, besides one for each call."""

    def at_emulator(self, settings: S, url: str) -> S:
        """Return the settings with which an emulator is tried out that listens there."""

    def open(
        self, settings: S, served: Catalogue, metrics: Metrics
    ) -> AbstractAsyncContextManager[Mapping[str, Backend]]:
        """Open every backend, by its name, for the life of the process.

        Raises:
            SettingsError: A setting names something that is not there.
        """


class PlainVendor(Generic[S]):
    """What a vendor need not write that has no account, no endpoints and no emulator; see ``Vendor``."""

    first_settings: Mapping[str, str] = {}
    metadata: Collection[str] = ()

    def verify_metadata(self, brought: Mapping[str, str]) -> None:
        """See ``Vendor``."""

    def has_account(self, settings: S) -> bool:  # noqa: ARG002 it needs none
        """See ``Vendor``."""
        return True

    def placed(self, model: Model, endpoint: str, settings: S) -> Model:  # noqa: ARG002 the same under all settings
        """See ``Vendor``."""
        if endpoint:
            raise ValueError(".endpoint: this model runs in the gateway; leave the endpoint out")
        return model

    def open_files(self, settings: S) -> int:  # noqa: ARG002 likewise
        """See ``Vendor``."""
        return 0

    def at_emulator(self, settings: S, url: str) -> S:  # noqa: ARG002 there is none
        """See ``Vendor``."""
        return settings


# Any: whose own settings it takes, which those of ``settings_class`` are too.
AnyVendor: TypeAlias = Vendor[Any]
#: Vendors by name.
Vendors = Mapping[str, AnyVendor]


def settings_class(vendors: Vendors) -> type[Settings]:
    """Return the settings of a gateway with these vendors: its own, and those of each of them."""
    classes = dict.fromkeys(vendor.settings for vendor in vendors.values())
    lasts = [one for one in classes if not any(other is not one and issubclass(other, one) for other in classes)]
    return create_model("GatewaySettings", __base__=tuple(lasts) or (Settings,))

"""The adapter that LMCache loads as a remote storage plug-in.

    remote_storage_plugins: ["kvlease"]
    extra_config:
      remote_storage_plugin.kvlease.module_path: kvlease.lmcache
      remote_storage_plugin.kvlease.class_name: SageMakerHyperPodConnectorAdapter
      remote_storage_plugin.kvlease.url: kvlease://127.0.0.1:9200

LMCache then asks it for `plugin://kvlease`. A `remote_url` with the scheme `kvlease://` reaches it
too, once it is loaded; one with `sagemaker-hyperpod://` does not, as LMCache asks its own adapter
first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lmcache.logging import init_logger
from lmcache.v1.exceptions import IrrecoverableException
from lmcache.v1.storage_backend.connector import (
    ConnectorAdapter,
    SafeLocalCPUBackend,
    extract_plugin_type,
)

from kvlease._kvlease import (
    ConnectorSettings,
    get_positive_float,
    get_positive_int,
    parse_url,
)
from kvlease.lmcache.connector import SageMakerHyperPodConnector
from kvlease.lmcache.log import show_beside_lmcache

if TYPE_CHECKING:
    from lmcache.v1.storage_backend.connector import ConnectorContext
    from lmcache.v1.storage_backend.connector.base_connector import RemoteConnector

logger = init_logger(__name__)

# What this plug-in is called in `remote_storage_plugins`, alone or before a dot and an instance.
PLUGIN_TYPE = "kvlease"
PLUGIN_SCHEME = "plugin://"
# The schemes of URLs that name a daemon themselves.
STOCK_SCHEME = "sagemaker-hyperpod://"
OWN_SCHEME = "kvlease://"

STOCK_PREFIX = "sagemaker_hyperpod_"
OWN_PREFIX = "kvlease_"
# The setting that has look-ups ask for the objects of all ranks.
GROUPS = "kvlease_groups"
# Variables of LMCache that are true whatever they say, and words for false.
TRUE_IF_SET = ("LMCACHE_FORCE_SKIP_SAVE",)
FALSE_WORDS = frozenset({"false", "no", "off", "0"})
# What LMCache itself reads of a plug-in's settings.
PLUGIN_KEYS = frozenset({"module_path", "class_name"})


class MissingUrl(IrrecoverableException, ValueError):
    """A plug-in has no URL. LMCache leaves its backend out and goes on with the others."""


class SageMakerHyperPodConnectorAdapter(ConnectorAdapter):
    """Makes native connectors from the configuration of LMCache's own HyperPod adapter."""

    def __init__(self) -> None:
        super().__init__(STOCK_SCHEME)

    def can_parse(self, url: str) -> bool:
        """Whether a URL names a daemon, or this plug-in."""
        if url.startswith(PLUGIN_SCHEME):
            return extract_plugin_type(url.removeprefix(PLUGIN_SCHEME)) == PLUGIN_TYPE
        return url.startswith((STOCK_SCHEME, OWN_SCHEME))

    def create_connector(self, context: ConnectorContext) -> RemoteConnector:
        """The connector that a configuration asks for. It has not connected yet.

        Raises:
            ValueError: If a setting cannot be used.
        """
        show_beside_lmcache()
        url, extra_config = _url_and_settings(context)
        if getattr(context.metadata, "use_mla", False):
            # One rank stores for all.
            extra_config = {**extra_config, GROUPS: False}
        settings = ConnectorSettings.from_extra_config(url, extra_config)
        for warning in (*settings.warnings, *_odd_environment(os.environ)):
            logger.warning("%s", warning)
        backend = context.local_cpu_backend
        if isinstance(backend, SafeLocalCPUBackend):
            # The scheduler's stand-in for memory has neither, and every connector asks for both.
            backend.config, backend.metadata = context.config, context.metadata
        return SageMakerHyperPodConnector(settings, context.loop, backend)

    @staticmethod
    def _parse_url(url: str, use_https: bool) -> str:
        """The daemon's HTTP URL."""
        return parse_url(url, use_https)

    @staticmethod
    def _get_positive_int(config_dict: dict[str, Any], key: str, default: int) -> int:
        """The whole number above 0 under a key, or the default."""
        return get_positive_int(config_dict, key, default)

    @staticmethod
    def _get_positive_float(config_dict: dict[str, Any], key: str, default: float) -> float:
        """The number above 0 under a key, or the default."""
        return get_positive_float(config_dict, key, default)


def _url_and_settings(context: ConnectorContext) -> tuple[str, Mapping[str, Any]]:
    """The daemon's URL, and `extra_config` as it is for this instance of the plug-in."""
    if context.config is None:
        raise ValueError("LMCache passes no configuration: give CreateConnector one, config=`None`")
    extra_config = context.config.extra_config or {}
    if not context.url.startswith(PLUGIN_SCHEME):
        return context.url, extra_config
    instance = context.url.removeprefix(PLUGIN_SCHEME)
    prefix = f"remote_storage_plugin.{instance}."
    own = {
        key.removeprefix(prefix): value
        for key, value in extra_config.items()
        if isinstance(key, str) and key.startswith(prefix)
    }
    url = own.pop("url", None)
    if not url:
        raise MissingUrl(_no_url(prefix, context.config.remote_url))
    settings = {_full(key): value for key, value in own.items() if key not in PLUGIN_KEYS}
    return url, {**extra_config, **settings}


def _odd_environment(environment: Mapping[str, str]) -> list[str]:
    """A line for each variable that LMCache takes for the opposite of what it says.

    LMCache 0.5.6 takes every text that is not empty for true, "false" as well (LMCache issue 4862).
    """
    return [
        f"LMCache takes this for true and stores nothing: unset the variable, {name}=`{value}`"
        for name in TRUE_IF_SET
        if (value := environment.get(name, "")).strip().lower() in FALSE_WORDS
    ]


def _full(key: str) -> str:
    """A key of LMCache's needs no prefix of its own among the settings of a plug-in."""
    return key if key.startswith((STOCK_PREFIX, OWN_PREFIX)) else STOCK_PREFIX + key


def _no_url(prefix: str, remote_url: str | None) -> str:
    if remote_url is None:
        remedy = f"set `{prefix}url` in extra_config to `kvlease://host:port`"
    elif remote_url.startswith(STOCK_SCHEME):
        remedy = (
            "its own connector serves remote_url: move that URL to "
            f"`{prefix}url` in extra_config, or change its scheme to `{OWN_SCHEME}`"
        )
    else:
        remedy = f"if remote_url does not name its daemon, set `{prefix}url` in extra_config"
    return (
        f"LMCache's plug-in `{PLUGIN_TYPE}` has no url, so no second backend is made: {remedy}, "
        f"remote_url=`{remote_url}`"
    )

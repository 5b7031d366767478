"""What all classes that engines load have in common: the way to the daemon, and warnings."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from logging import Logger
from typing import Any

from kvlease._kvlease import Connector, ConnectorSettings, KvleaseError

# Settings of the connector that an engine's configuration may have.
SETTINGS = frozenset(
    {
        "shared_memory_name",
        "shared_memory_dir",
        "socket",
        "lane_open_max_ms",
        "index",
        "max_concurrent_requests",
        "max_connections",
        "max_connections_per_host",
        "timeout_ms",
        "lease_wait_timeout_ms",
        "lease_ttl_ms",
        "copy_threads",
        "daemon_uid",
        "use_https",
        "tls_ca_file",
        "tls_certificate_file",
        "tls_key_file",
        "token_file",
    }
)
# Seconds between two warnings of one kind, at least.
WARNING_INTERVAL_S = 10.0


class Warnings:
    """The warnings of failed operations, each kind no more often than once in a while."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self._said_at: dict[str, float] = {}

    def say(self, operation: str, error: object) -> None:
        """Warns that an operation failed, unless that was said just before."""
        now = time.monotonic()
        if now - self._said_at.get(operation, -WARNING_INTERVAL_S) >= WARNING_INTERVAL_S:
            self._said_at[operation] = now
            self._logger.warning("kvlease: a %s failed: %s", operation, error)


def settings_of(
    url: str,
    bucket: str,
    configuration: Mapping[str, Any],
    logger: Logger,
    others: Collection[str] = (),
) -> ConnectorSettings:
    """The settings of a connector that an engine's configuration has.

    Args:
        url: Where the daemon listens, as `kvlease://host:port`.
        bucket: The namespace of the keys.
        configuration: Settings of the connector. Others are warned of: an engine may add its own.
        logger: The log of the class.
        others: Names of the configuration that are known and no settings of the connector.

    Raises:
        ValueError: If a setting cannot be used.
    """
    unknown = sorted(set(configuration) - SETTINGS - set(others))
    if unknown:
        logger.warning("settings that kvlease does not know are left unused: %s", unknown)
    own = {name: value for name, value in configuration.items() if name in SETTINGS}
    settings = ConnectorSettings.for_mp(url, bucket=bucket, **own)
    for warning in settings.warnings:
        logger.warning("%s", warning)
    logger.info("kvlease: %r", settings)
    return settings


def connect(
    url: str,
    bucket: str,
    configuration: Mapping[str, Any],
    logger: Logger,
    others: Collection[str] = (),
) -> Connector:
    """A connector with the settings that `settings_of` makes. Nothing is opened yet.

    Raises:
        ValueError: If a setting cannot be used.
    """
    return Connector(settings_of(url, bucket, configuration, logger, others))


def open_lane(connector: Connector, warnings: Warnings) -> None:
    """Opens the fast lane and its index, so that the first look-up of the engine has them.

    The first answer tells where the lane is, and the second call opens it. Both are bounded.
    """
    try:
        connector.ping()
        connector.exists("kvlease")
    except KvleaseError as error:
        warnings.say("first call", error)

"""From LMCache's configuration to a connector, for programs without LMCache.

    from kvlease.adapter import ConnectorContext, create_connector

    context = ConnectorContext("kvlease://127.0.0.1:9200", {"sagemaker_hyperpod_bucket": "prod"})
    connector = create_connector(context)

Keys, defaults and limits are those of LMCache's own adapter. A setting that cannot be used is a
ValueError that names key, value and remedy.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kvlease._kvlease import (
    Connector,
    ConnectorSettings,
    get_positive_float,
    get_positive_int,
    parse_url,
)

__all__ = [
    "ConnectorContext",
    "create_connector",
    "get_positive_float",
    "get_positive_int",
    "parse_url",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ConnectorContext:
    """What a connector is made from.

    Attributes:
        url: Where the daemon listens: what `parse_url` takes.
        extra_config: LMCache's `extra_config`; the keys of others are ignored.
    """

    url: str
    extra_config: Mapping[str, Any] = field(default_factory=dict)


def create_connector(context: ConnectorContext) -> Connector:
    """The connector that a configuration asks for. It has not connected yet.

    Raises:
        ValueError: If a setting cannot be used.
    """
    settings = ConnectorSettings.from_extra_config(context.url, context.extra_config)
    for warning in settings.warnings:
        logger.warning("%s", warning)
    return Connector(settings)

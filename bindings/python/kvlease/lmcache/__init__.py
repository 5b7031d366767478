"""What LMCache loads: the in-process connector with its adapter, and the client for MP mode.

`NativeClient` needs nothing but this package. The other two need LMCache, which is imported when
they are first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvlease.lmcache.native_client import NativeClient

if TYPE_CHECKING:
    from kvlease.lmcache.adapter import SageMakerHyperPodConnectorAdapter
    from kvlease.lmcache.connector import SageMakerHyperPodConnector

__all__ = ["NativeClient", "SageMakerHyperPodConnector", "SageMakerHyperPodConnectorAdapter"]


def __getattr__(name: str) -> Any:
    if name == "SageMakerHyperPodConnector":
        from kvlease.lmcache.connector import SageMakerHyperPodConnector

        return SageMakerHyperPodConnector
    if name == "SageMakerHyperPodConnectorAdapter":
        from kvlease.lmcache.adapter import SageMakerHyperPodConnectorAdapter

        return SageMakerHyperPodConnectorAdapter
    raise AttributeError(f"the module has no such name, module=`{__name__}` name=`{name}`")

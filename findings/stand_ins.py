"""Empty modules in the place of those that a subject imports and a finding does not use.

torch and the libraries of a GPU would be gigabytes. A stand-in has every attribute, and each is an
empty class that can be called and derived from. A subject computes nothing of worth with one, so no
finding may rest on it.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

# Modules that vLLM 0.32.0's code of block hashes and KV events imports and does not use there.
VLLM_KV_CACHE = (
    "torch",
    "vllm.config",
    "vllm.multimodal",
    "vllm.platforms",
    "vllm.utils.mem_utils",
    "vllm.utils.torch_utils",
    "vllm.v1.hisparse",
    "vllm.v1.kv_cache_interface",
    "vllm.v1.kv_cache_spec_registry",
    "vllm.v1.request",
    "vllm.v1.utils",
)


class _EmptyClass(type):
    def __getattr__(cls, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        value = _empty(name)
        setattr(cls, name, value)
        return value

    def __or__(cls, other: object) -> type:
        return object

    __ror__ = __or__


def _empty(name: str) -> type:
    members = {
        "__init__": lambda self, *args, **kwargs: None,
        # As a decorator it leaves what it decorates as it is.
        "__call__": lambda self, *args, **kwargs: args[0] if args else None,
        "__class_getitem__": classmethod(lambda cls, item: cls),
        "__getattr__": _attribute,
    }
    return _EmptyClass(name, (object,), members)


def _attribute(instance: object, name: str) -> object:
    if name.startswith("__"):
        raise AttributeError(name)
    return _empty(name)()


class _StandIn(ModuleType):
    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        value = _empty(name)
        setattr(self, name, value)
        return value


class _BarePackage(_StandIn):
    def __getattr__(self, name: str) -> object:
        module = f"{self.__name__}.{name}"
        if not name.startswith("__") and PathFinder.find_spec(module, self.__path__):
            return importlib.import_module(module)
        return super().__getattr__(name)


class _EmptyFinder(MetaPathFinder, Loader):
    """Empty modules, those within them included."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        within = any(name == own or name.startswith(f"{own}.") for own in self.names)
        return ModuleSpec(name, self, is_package=True) if within else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


class _BareFinder(MetaPathFinder, Loader):
    """Packages of a subject without their `__init__`; their modules can be imported."""

    def __init__(self, packages: Sequence[str]) -> None:
        self.packages = packages

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name not in self.packages:
            return None
        found = PathFinder.find_spec(name, path)
        if found is None:
            return None
        bare = ModuleSpec(name, self, is_package=True)
        bare.submodule_search_locations = found.submodule_search_locations
        return bare

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _BarePackage(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


def install(bare: Sequence[str] = (), empty: Sequence[str] = ()) -> None:
    """Stand-ins from now on: `bare` packages lose their `__init__`, `empty` modules everything."""
    sys.meta_path[:0] = [_EmptyFinder(empty), _BareFinder(bare)]

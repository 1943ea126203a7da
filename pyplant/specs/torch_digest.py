"""Digests and pickling of PyTorch's tensors, whose pickles contain the address of their storage.

The digest covers values, shape, strides, dtype, layout, device, ``requires_grad``, the gradient and the attributes that a
user has set on a tensor. PyTorch does not pickle gradients, so a gradient is pickled beside its tensor. Tensors that are
quantized or have no data are digested by their pickles.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from pyplant.fingerprint.digest import Encoder, encodes

__all__ = ["reduce_tensor"]

_SPARSE = {
    "torch.sparse_coo": ("_indices", "_values", "is_coalesced"),
    "torch.sparse_csr": ("crow_indices", "col_indices", "values"),
    "torch.sparse_bsr": ("crow_indices", "col_indices", "values"),
    "torch.sparse_csc": ("ccol_indices", "row_indices", "values"),
    "torch.sparse_bsc": ("ccol_indices", "row_indices", "values"),
}


@encodes("torch.*.Tensor", "torch.*.Parameter", "torch.*.Buffer")
def _encode_tensor(value: Any, encoder: Encoder) -> None:
    encoder.tag(f"torch.{type(value).__name__}")
    encoder.item((tuple(value.shape), str(value.dtype), str(value.device), str(value.layout)))
    encoder.item(value.requires_grad)
    encoder.attributes(dict(vars(value)))
    if value.is_leaf:  # PyTorch warns if grad of another tensor is read
        encoder.item(value.grad)
    plain = value.detach()
    if str(value.layout) != "torch.strided":
        for name in _SPARSE[str(value.layout)]:
            encoder.item(getattr(plain, name)())
        return
    encoder.item(value.stride())
    plain = plain.cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    encoder.buffer(plain.view(sys.modules["torch"].uint8).numpy().data)


def reduce_tensor(value: Any) -> Any:
    """Return how to pickle a tensor with its gradient; ``NotImplemented`` for other objects.

    Parameters
    ----------
    value
        Any object.
    """
    torch = sys.modules.get("torch")
    tensor = getattr(torch, "Tensor", None)  # absent while PyTorch is being imported
    if tensor is None or not issubclass(type(value), tensor) or not value.is_leaf or value.grad is None:
        return NotImplemented
    return _with_gradient, (value.__reduce_ex__(5), value.grad)


def _with_gradient(reduced: tuple[Any, ...], gradient: Any) -> Any:
    make, arguments, *state = reduced
    value = make(*arguments)
    if state and state[0] is not None:
        value.__setstate__(state[0]) if hasattr(value, "__setstate__") else vars(value).update(state[0])
    value.grad = gradient
    return value


@encodes("torch.jit.torch.jit.ScriptFunction")
def _encode_script(value: Any, encoder: Encoder) -> None:
    """Encode a compiled function by its graph with inlined calls, without file names and line numbers."""
    encoder.tag("torch.jit.ScriptFunction")
    encoder.item(re.sub(r"\s*# [^\n]*:\d+:\d+$", "", str(value.inlined_graph), flags=re.MULTILINE))


@encodes("torch.*.Generator")
def _encode_generator(value: Any, encoder: Encoder) -> None:
    encoder.tag("torch.Generator")
    encoder.item((str(value.device), value.get_state()))

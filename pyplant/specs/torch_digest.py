"""Digests of PyTorch's tensors, whose pickled form holds the address of their storage.

The values count, with shape, strides, dtype, layout, device, ``requires_grad`` and the
attributes that a user put on a tensor; gradients do not, since they are not stored.
Tensors that are quantized or without data count as their pickled form.
"""

from __future__ import annotations

import sys
from typing import Any

from pyplant.engine.digest import Encoder, encodes

__all__: list[str] = []

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
    plain = value.detach()
    if str(value.layout) != "torch.strided":
        for name in _SPARSE[str(value.layout)]:
            encoder.item(getattr(plain, name)())
        return
    encoder.item(value.stride())
    plain = plain.cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    encoder.buffer(plain.view(sys.modules["torch"].uint8).numpy().data)


@encodes("torch.*.Generator")
def _encode_generator(value: Any, encoder: Encoder) -> None:
    encoder.tag("torch.Generator")
    encoder.item((str(value.device), value.get_state()))

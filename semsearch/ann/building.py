"""Fill a FAISS index with labelled vectors, on the CPU or with a GPU's help."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import numpy as np

from semsearch.ann import setting as settings
from semsearch.ann import twofold
from semsearch.ann.learning import learn, train
from semsearch.ann.library import faiss, parts, threads
from semsearch.ann.setting import Setting
from semsearch.errors import DeviceError
from semsearch.types import Device, Ids, Vectors

_log = logging.getLogger("semsearch")


def build(labels: Ids, vectors: Vectors, setting: Setting, device: Device) -> Any:
    """An `IDMap` of labels (n,) over vectors (n, d), in a form that any machine reads.

    A GPU that fails, or is gone, costs time only: what is to be saved is in memory already.

    Raises:
        FactoryError: the setting is not one for these vectors.
    """
    faiss().omp_set_num_threads(threads())
    index = None if device == "cpu" else _with_gpu(labels, vectors, setting, device)
    if index is not None:
        return index
    if setting.links:
        _log.warning(
            "%s is made on a GPU by a faiss with cuVS; an HNSW graph takes its place here",
            setting.factory,
        )
    inner = settings.make(setting, vectors.shape[1])
    train(inner, vectors, setting)
    return _labelled(inner, labels, vectors)


def _with_gpu(labels: Ids, vectors: Vectors, setting: Setting, device: Device) -> Any:
    """As above; None where a GPU has nothing to do for it, fails, or is none."""
    from semsearch.ann import gpu

    inner = settings.make(setting, vectors.shape[1])
    index = faiss().IndexIDMap(inner)
    learning, filling = partial(learn, inner, vectors), partial(_add, index, labels, vectors)
    try:
        if not gpu.filled(inner, vectors, setting.links, device, learning, filling):
            return None
    except (*gpu.Failure, DeviceError) as error:
        _log.warning(
            "the GPU could not help to make %s (%s): the CPU does it alone",
            *(setting.factory, gpu.reason(error)),
        )
        return None
    if setting.links:  # its vectors are in it already
        faiss().copy_array_to_vector(np.ascontiguousarray(labels), index.id_map)
        index.ntotal = len(labels)
        # A copy from the GPU comes with settings of its own.
        settings.configure_graph(inner, setting)
    return index


def _labelled(inner: Any, labels: Ids, vectors: Vectors) -> Any:
    index = faiss().IndexIDMap(inner)
    _add(index, labels, vectors)
    return index


def _add(index: Any, labels: Ids, vectors: Vectors) -> None:
    if twofold.is_twofold(index.index):
        twofold.add(index, labels, vectors)
    else:
        for part in parts(len(vectors)):
            index.add_with_ids(vectors[part], labels[part])

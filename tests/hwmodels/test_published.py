"""Published figures are compared with the published design only."""

from dataclasses import replace

import msgspec
import pytest

from hwmodels.published import departures, read_published
from hwmodels.work import WorkTable
from qsim import shipped
from qsim.evaluate import evaluate
from qsim.workload import load_workload

TABLE = read_published(shipped.WORKLOADS / "published" / "msq.yaml")


@pytest.fixture(scope="module")
def priced():
    workload = load_workload("resnet18-msq-xc7z020")
    document = msgspec.structs.replace(workload.document, execute=None)
    [pricing] = evaluate(replace(workload, document=document)).pricings
    return pricing


def differences(priced, name="D1-3", device="xc7z020", work=None, **changes):
    design = msgspec.structs.replace(priced.hardware.design, **changes)
    return departures(TABLE, name, device, design, work or priced.work)


def test_the_published_design_does_not_depart(priced):
    assert differences(priced) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "D1-4"}, "'D1-4' is none of its designs; did you mean"),
        ({"device": "xc7z045"}, "device is xc7z045, published xc7z020"),
        ({"bat": 2}, "bat is 2, published 1"),
        ({"blk_in": 8}, "blk_in is 8, published 16"),
        ({"blk_out_fixed": 8}, "blk_out_fixed is 8, published 16"),
        ({"blk_out_sp2": 32}, "blk_out_sp2 is 32, published 24"),
        ({"clock_hz": 100000001.0}, "clock_hz is 100,000,001, published 100,000,000"),
        ({"weight_bits": 8}, "weight_bits is 8, published 4"),
        ({"activation_bits": 5}, "activation_bits is 5, published 4"),
    ],
)
def test_another_design_departs_in_words(priced, changes, words):
    assert any(words in sentence for sentence in differences(priced, **changes))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weight_bits": 3}, "weight_bits is 3, published 4"),
        ({"activation_bits": 2}, "activation_bits is 2, published 4"),
        ({"rows_multiply": 64, "rows_shift_add": 0}, "rows of SP2 off the ratio"),
    ],
)
def test_another_precision_departs_in_words(priced, change, words):
    work = WorkTable(tuple(replace(layer, **change) for layer in priced.work))
    assert any(words in sentence for sentence in differences(priced, work=work))


def test_one_layer_of_other_bits_departs(priced):
    first, *others = priced.work.layers
    work = WorkTable((replace(first, weight_bits=3), *others))
    assert "weight_bits is 3, published 4" in differences(priced, work=work)


def test_every_cell_belongs_to_a_design_and_a_network():
    for cell in TABLE.cells:
        assert cell.design in TABLE.designs
        assert cell.network in TABLE.macs_per_image

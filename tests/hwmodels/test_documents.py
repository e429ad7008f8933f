from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels import strict_yaml
from hwmodels.documents import convert, nearest, read_document, read_yaml
from hwmodels.errors import InputError

ROOT = Path(__file__).parent.parent.parent


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    count: int = 0


class One(msgspec.Struct, tag="one", tag_field="type", forbid_unknown_fields=True):
    width: int = 1


class Two(msgspec.Struct, tag="two", tag_field="type", forbid_unknown_fields=True):
    height: int = 1


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    inner: Inner | None = None
    rows: tuple[One | Two, ...] = ()
    by_name: dict[str, Inner] = {}


LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{c}: &{c} [{', '.join(['*' + b] * 9)}]\n" for b, c in pairwise("abcdefghij")
)


def read(tmp_path, text):
    path = tmp_path / "doc.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_document(path, Outer)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "expected a mapping of keys to values, found nothing"),
        ("- a\n- b\n", "expected a mapping of keys to values, found a list"),
        ("name: [a\n", "not valid YAML at line 2"),
        ("name: a\nname: b\n", "line 2, column 1: key 'name' is written twice"),
        ("name: a\ninner: {count: 1, count: 2}\n", "line 2, column 19: key 'count'"),
        ("name: *x\n", "found undefined alias"),
        ("name: a\nrows: &x [*x]\n", "aliases stand for more than 1,000,000 values"),
        (LAUGHS, "aliases stand for more than 1,000,000 values"),
        ("name: a\n<<: {count: 1}\n", "unknown key '<<'"),
        ("? [a, b]\n: 1\n", "a key must be text"),
        ("name: !!python/object/apply:os.system [ls]\n", "could not determine a constructor"),
        ("name: a\x07b\n", "not valid YAML"),
        (b"\xff\xfe\xfa", "not a text file in UTF-8"),
        ("name: " + "[" * 5000, "nested too deeply|not valid YAML"),
        ("nam: a\n", "unknown key 'nam'; did you mean 'name'"),
        ("name: a\ninner: {count: x}\n", "inner.count: expected int, got text"),
        ("name: a\ninner: {cont: 1}\n", "inner: unknown key 'cont'; did you mean 'count'"),
        ("name: a\nby_name: {b: {cont: 1}}\n", "unknown key 'cont'; did you mean 'count'"),
        (
            "name: a\nby_name: {ok: {}, a.b.c: {cont: 1}}\n",
            "by_name.a.b.c: unknown key 'cont'; did you",
        ),
        ("name: a\nby_name: {a.b: {count: x}}\n", "by_name.a.b.count: expected int, got text"),
        ("name: a\nrows: [{type: two, widht: 1}]\n", r"rows\[0\]: unknown key 'widht'; known are"),
        ("name: a\nrows: [{type: one, widht: 1}]\n", "did you mean 'width'"),
        (
            "name: a\nrows: [{type: three}]\n",
            r"rows\[0\].type: unknown value 'three'; known are: one, two",
        ),
        ("inner: {}\n", "key 'name' is missing"),
    ],
)
def test_a_bad_document_is_refused_with_its_place(tmp_path, text, problem):
    with pytest.raises(InputError, match=problem) as caught:
        read(tmp_path, text)
    assert str(tmp_path / "doc.yaml") in str(caught.value)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="is a folder"):
        read_yaml(tmp_path)


def test_a_huge_file_is_refused_unread(tmp_path):
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(2**24 + 1)
    with pytest.raises(InputError, match="larger than 16 MiB"):
        read_yaml(path)


def test_a_file_without_an_end_is_refused():
    with pytest.raises(InputError, match="/dev/zero: larger than 16 MiB"):
        read_yaml(Path("/dev/zero"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1:1.5", "1:1.5"), ("1:2", "1:2"), ("on", "on"), ("no", "no"), ("100e6", 100e6),
        ("1e3", 1e3), (".5", 0.5), ("010", 10), ("0x1F", 31), ("-7", -7), ("true", True),
        ("~", None), ("", None), ("2026-11-21", "2026-11-21"), ("1_000", "1_000"),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(tmp_path, text, value):
    path = tmp_path / "doc.yaml"
    path.write_text(f"key: {text}\n")
    read = read_yaml(path)["key"]
    assert read == value
    assert type(read) is type(value)


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("any") / "doc.yaml"
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        assert isinstance(read_yaml(path), dict)
    except InputError as error:
        assert str(path) in str(error)


def test_an_alias_means_its_anchor(tmp_path):
    read_back = read(tmp_path, "name: &n a\nby_name: {b: &i {count: 3}, c: *i}\ninner: *i\n")
    assert read_back.by_name == {"b": Inner(3), "c": Inner(3)}
    assert read_back.inner == Inner(3)


def test_complaints_name_where_the_data_came_from():
    with pytest.raises(InputError, match=r"^there: key 'name' is missing"):
        convert({}, Outer, where="there")


def test_the_start_of_one_name_suggests_it():
    known = ["xnor_activations", "wrpn_weights", "wrpn_activations"]
    assert nearest("xnor", known) == "did you mean 'xnor_activations'?"
    assert nearest("w", known).startswith("known are: ")


@pytest.mark.parametrize("folder", ["hwmodels", "workloads"])
def test_what_is_shipped_reads_the_same_by_the_faster_loader(folder):
    paths = sorted((ROOT / folder).rglob("*.yaml"))
    assert paths
    for path in paths:
        text = path.read_text()
        values = [
            strict_yaml.read_value(text, where=str(path), loader=loader)
            for loader in (strict_yaml._StrictLoader, strict_yaml._FastLoader)
        ]
        assert repr(values[0]) == repr(values[1]), path
        assert repr(read_yaml(path, shipped=True)) == repr(values[0])


def test_the_faster_loader_refuses_keys_written_twice(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("name: a\nname: b\n")
    with pytest.raises(InputError, match="line 2, column 1: key 'name' is written twice"):
        read_yaml(path, shipped=True)

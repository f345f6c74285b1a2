"""Turns a symbol file into an ISF with volatility3's own converter: python3 isf.py PDB DIR

Writes DIR/windows/NAME.pdb/GUID-AGE.json.xz, where volatility3 looks for it.
"""
import json
import lzma
import pathlib
import sys

from volatility3.framework import contexts
from volatility3.framework.symbols.windows import pdbconv

LF_NESTTYPE = 0x1510

# What volatility3's WindowsKernelIntermedSymbols asks of every symbol file of a kernel, though
# the plugins that are asked here use none of it, and what the invented kernels lack.
UNUSED = """_CM_KEY_BODY _CM_KEY_NODE _CM_KEY_VALUE _HMAP_ENTRY _OBJECT_SYMBOLIC_LINK _SHARED_CACHE_MAP _VACB
_IMAGE_DOS_HEADER _TOKEN _MMVAD_SHORT _MMVAD _KMUTANT _CONTROL_AREA _OBJECT_HEADER _POOL_TRACKER_BIG_PAGES"""


class Reader(pdbconv.PdbReader):
    """The converter knows what Microsoft's compiler writes for C. clang writes more."""

    def consume_type(self, module, offset, length):
        """Passes over LF_NESTTYPE: a structure without a name is defined in another."""
        data = self.context.layers[module.layer_name].read(offset, length)
        if int.from_bytes(data[:2], "little") != LF_NESTTYPE:
            return super().consume_type(module, offset, length)
        return (None, None, None), data.index(0, 8) + 1

    def convert_fields(self, fields):
        leaf, name, members = self.types[fields]
        self.types[fields] = leaf, name, [m for m in members if m[2] is not None]
        return super().convert_fields(fields)

    def _read_info_stream(self, number, name, types):
        """Names the structures that have none apart."""
        super()._read_info_stream(number, name, types)
        for i, (leaf, own, value) in enumerate(types):
            if own and own.endswith("<unnamed-tag>"):
                types[i] = leaf, f"__unnamed_{i + 0x1000:x}", value
        return {own: i for i, (_, own, _) in enumerate(types) if own}

    def get_size_from_index(self, index):
        """Finds what the first type of all stands for, too, if that is a forward reference."""
        if index == 0x1000:
            own = self.types[0][1]
            index += max(i for i, t in enumerate(self.types) if t[1] == own)
        return super().get_size_from_index(index)


def main():
    path = pathlib.Path(sys.argv[1])
    table = Reader(contexts.Context(), path.absolute().as_uri(), path.name).get_json()
    for name in UNUSED.split():
        table["user_types"].setdefault(name, {"kind": "struct", "size": 1, "fields": {}})
    table["enums"]["_NT_PRODUCT_TYPE"] = {
        "base": "long", "size": 4, "constants": {"NtProductWinNt": 1, "NtProductLanManNt": 2, "NtProductServer": 3}}
    shared = table["user_types"]["_KUSER_SHARED_DATA"]["fields"]
    shared["NtProductType"]["type"] = {"kind": "enum", "name": "_NT_PRODUCT_TYPE"}
    for name, signed in ("long", True), ("unsigned long", False):
        table["base_types"].setdefault(name, {"kind": "int", "size": 4, "signed": signed, "endian": "little"})
    pdb = table["metadata"]["windows"]["pdb"]
    out = pathlib.Path(sys.argv[2], "windows", pdb["database"])
    out.mkdir(parents=True, exist_ok=True)
    with lzma.open(out / f"{pdb['GUID']}-{pdb['age']}.json.xz", "wt", preset=0) as f:
        json.dump(table, f)


main()

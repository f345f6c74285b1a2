"""Runs plugins of volatility3 on a dump: python3 forensics.py DUMP SYMBOLS PLUGIN...

SYMBOLS is a folder that isf.py made. Volatility finds the kernel, its page tables and its
symbol file by itself, for the first plugin. Standard output: one JSON object a line, a row of
a plugin's answer under the names of its columns, with "plugin" for that of the plugin.
"""
import datetime
import json
import pathlib
import sys

import volatility3.plugins
import volatility3.symbols
from volatility3 import framework
from volatility3.framework import automagic, constants, contexts, interfaces, plugins
from volatility3.framework.automagic import construct_layers


def start(symbols):
    """Keeps to the files at hand."""
    constants.OFFLINE = True
    constants.CACHE_PATH = str(pathlib.Path(symbols, "cache"))
    pathlib.Path(constants.CACHE_PATH).mkdir(exist_ok=True)
    volatility3.symbols.__path__ = [str(pathlib.Path(symbols).absolute())] + constants.SYMBOL_BASEPATHS
    framework.import_files(volatility3.plugins, True)


def run(dump, name, found):
    """Returns the rows of a plugin, and what was found of the machine."""
    kind = framework.list_plugins()[name]
    context = contexts.Context()
    context.config["automagic.LayerStacker.single_location"] = pathlib.Path(dump).absolute().as_uri()
    magic = automagic.choose_automagic(automagic.available(context), kind)
    if found and "primary" not in [r.name for r in kind.get_requirements()]:
        context.config.splice("plugins." + kind.__name__, found.clone())
        magic = [m for m in magic if isinstance(m, construct_layers.ConstructionMagic)]
    plugin = plugins.construct_plugin(context, magic, kind, "plugins", None, None)
    grid = plugin.run()
    rows = []

    def visit(node, _):
        rows.append({c.name: plain(v) for c, v in zip(grid.columns, node.values)} | {"plugin": name})

    grid.populate(visit, None)
    return rows, plugin.build_configuration()


def plain(value):
    if isinstance(value, interfaces.renderers.BaseAbsentValue):
        return None
    if isinstance(value, datetime.datetime):
        return int(value.timestamp())
    if isinstance(value, int):
        return int(value)
    return str(value)


def main():
    dump, symbols, *names = sys.argv[1:]
    start(symbols)
    found = None  # of the first plugin
    for name in names:
        rows, configuration = run(dump, name, found)
        for row in rows:
            print(json.dumps(row))
        found = found or configuration


main()

"""Reads an event log with the evtx crate and prints a line a record: number, provider, event,
version, level, channel, and the values in order as name=text. Usage: events.py FILE"""
import sys
import xml.etree.ElementTree as tree

import evtx

NS = "{http://schemas.microsoft.com/win/2004/08/events/event}"


def leaves(e):
    """The elements below e that hold no others, with their names."""
    for child in e:
        name = child.get("Name") or child.tag.split("}")[-1]
        if len(child):
            yield from leaves(child)
        else:
            yield "" if name == "Data" else name, (child.text or "").strip()


for record in evtx.PyEvtxParser(sys.argv[1]).records():
    if isinstance(record, Exception):
        print("unreadable", record)
        continue
    root = tree.fromstring(record["data"])
    system = root.find(NS + "System")
    text = lambda name: (system.findtext(NS + name) or "").strip()
    line = [str(record["event_record_id"]), system.find(NS + "Provider").get("Name"), text("EventID"), text("Version") or "0", text("Level"), text("Channel")]
    for part in ("EventData", "UserData"):
        below = root.find(NS + part)
        if below is not None:
            line += ["%s=%s" % pair for pair in leaves(below)]
    print("\t".join(line).replace("\n", " ").replace("\r", " "))

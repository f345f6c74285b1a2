package kernel

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"bugcheck/dump"
	"bugcheck/mem"
)

// walkObjects asks a machine for all objects, and for what could stand at some
// addresses.
func walkObjects(tb testing.TB, m *Machine, addresses ...mem.VA) {
	tb.Helper()
	tags, _ := m.PoolUsage()
	for i := 1; i < len(tags); i++ {
		if tags[i].Bytes() > tags[i-1].Bytes() {
			tb.Errorf("tag %q with %d bytes behind one with %d", tags[i].Tag, tags[i].Bytes(), tags[i-1].Bytes())
		}
	}
	m.TagDrivers("Leak", "OOOO")
	drivers, _ := m.DriverObjects()
	for _, d := range drivers {
		d.Foreign("ntoskrnl.exe")
		addresses = append(addresses, d.Devices...)
	}
	locks, _ := m.Resources(Resource.Contended)
	for _, ring := range Deadlocks(locks) {
		for i, w := range ring {
			if w.Owner != ring[(i+1)%len(ring)].Thread {
				tb.Errorf("thread %v of a ring waits for %v, the next is %v", w.Thread, w.Owner, ring[(i+1)%len(ring)].Thread)
			}
		}
	}
	v, _ := m.VirtualMemory()
	for _, r := range v.Runs {
		_, _ = m.PFN(r.Start)
	}
	_, _ = m.Services()
	for _, va := range addresses[:min(len(addresses), 64)] {
		walkObjectsAt(tb, m, va)
	}
}

func walkObjectsAt(tb testing.TB, m *Machine, va mem.VA) {
	tb.Helper()
	if p, err := m.PoolBlock(va); err == nil && p.Size > 0 && (va < p.Header || uint64(va-p.Header) >= p.Size) {
		tb.Errorf("PoolBlock(%v) = %v with 0x%x bytes", va, p.Header, p.Size)
	}
	list, _ := m.ThreadIRPs(va)
	for _, r := range list {
		r.Holder()
	}
	_, _ = m.Request(va)
	_, _ = m.FileObject(va)
	_, _ = m.DeviceStack(va)
	_, _ = m.DriverObject(va)
	_, _ = m.ObjectPath(va)
	if text := m.TextAt(va); len(text) > maxPointedText {
		tb.Errorf("TextAt(%v): %d bytes of text", va, len(text))
	}
	_, _, _ = m.ObjectCounts(va)
	m.TypeName(va)
	_, _, _ = m.WorkItem(va)
	if callers := m.CallersIn(va); len(callers) > maxCallers/4 {
		tb.Errorf("CallersIn(%v): %d addresses", va, len(callers))
	}
	_, _ = m.Resource(va)
	_, _ = m.PushLock(va)
}

// everything is the memory of all tests' worlds: they lie apart.
func everything() world {
	w := namespaceWorld()
	for _, part := range []world{poolWorld(0x38), chainWorld(), heapWorld(), lockWorld(), vmWorld(), registryWorld()} {
		for va, b := range part {
			if have := w[va]; have != nil {
				for i, c := range b {
					have[i] |= c
				}
				continue
			}
			w[va] = b
		}
	}
	return w
}

// everyVariable is where everything's lists begin.
var everyVariable = map[int]mem.VA{
	kdbgPoolTrackTable: trackVariable, kdbgRootDirectory: rootVariable, kdbgResources: resourcesHead,
	kdbgPhysicalMemory: physicalVariable, kdbgPfnDatabase: pfnVariable,
}

var everyAddress = []mem.VA{poolPageAt + 0x300, vsAt + 0x700, lfhAt + 0xd8, rangeAt + 0x7000, bigAt + 0x2000, threadAt, requestAt,
	deviceAt, driverAt, fileAt, lockA, lockC, stackAt, hiveAt, 0, ^mem.VA(0)}

// TestObjects_Damage: each page of the machine is dropped, zeroed and filled in turn.
func TestObjects_Damage(t *testing.T) {
	for page := range everything() {
		for _, fill := range []int{-1, 0, 0x4f, 0xff} {
			w := everything()
			switch fill {
			case -1:
				delete(w, page)
			default:
				for i := range w[page] {
					w[page][i] = byte(fill)
				}
			}
			start := time.Now()
			m := w.machine("19041", everyVariable)
			m.Header.Processors = 3
			walkObjects(t, m, everyAddress...)
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("page %v filled with %d: took %v", page, fill, d)
			}
		}
	}
}

// FuzzObjects patches 64-bit words of the machine: each patch is a page, a place in it
// and a value.
func FuzzObjects(f *testing.F) {
	f.Add([]byte{})
	patch := func(page, at uint16, v mem.VA) []byte {
		b := binary.LittleEndian.AppendUint16(nil, page)
		return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint16(b, at), uint64(v))
	}
	f.Add(patch(0, 0, resourcesHead))
	f.Add(append(patch(3, 0x100, vsAt), patch(9, 0xff0, ^mem.VA(0))...))
	var pages []mem.VA
	for va := range everything() {
		pages = append(pages, va)
	}
	slices.Sort(pages)
	f.Fuzz(func(t *testing.T, patches []byte) {
		w := everything()
		for ; len(patches) >= 12; patches = patches[12:] {
			page := pages[int(binary.LittleEndian.Uint16(patches))%len(pages)]
			w.words(page+mem.VA(binary.LittleEndian.Uint16(patches[2:])&0xff8), mem.VA(binary.LittleEndian.Uint64(patches[4:])))
		}
		m := w.machine("19041", everyVariable)
		m.Header.Processors = 3
		walkObjects(t, m, everyAddress...)
		m = withSymbols(t, w.machine("19041", everyVariable), map[string]mem.VA{"ExPoolState": stateAt, "PoolBigPageTable": worldData,
			"PoolBigPageTableSize": worldData + 8, "ExPoolTagTables": tagTablesAt})
		walkObjects(t, m, everyAddress...)
		m = w.machine("19041", everyVariable)
		m.Arch = dump.X86
		walkObjects(t, m, everyAddress...)
	})
}

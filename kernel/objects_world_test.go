package kernel

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"sort"
	"testing"

	"bugcheck/dump"
	"bugcheck/mem"
	"bugcheck/symbols"
)

// world is a kernel's memory that a test lays out: pages by their address.
type world map[mem.VA][]byte

const worldPage = 0x1000

func (w world) write(va mem.VA, b []byte) {
	for len(b) > 0 {
		page := va &^ (worldPage - 1)
		if w[page] == nil {
			w[page] = make([]byte, worldPage)
		}
		n := copy(w[page][va-page:], b)
		va, b = va+mem.VA(n), b[n:]
	}
}

// words writes 64-bit values one behind the other.
func (w world) words(va mem.VA, values ...mem.VA) {
	for i, v := range values {
		w.write(va+mem.VA(8*i), binary.LittleEndian.AppendUint64(nil, uint64(v)))
	}
}

func (w world) u32(va mem.VA, values ...uint32) {
	for i, v := range values {
		w.write(va+mem.VA(4*i), binary.LittleEndian.AppendUint32(nil, v))
	}
}

func (w world) u16(va mem.VA, v uint16) { w.write(va, binary.LittleEndian.AppendUint16(nil, v)) }

func (w world) u8(va mem.VA, v ...byte) { w.write(va, v) }

// text writes a UNICODE_STRING at va with its characters at buffer.
func (w world) text(va, buffer mem.VA, s string) {
	var b []byte
	for _, c := range s {
		b = binary.LittleEndian.AppendUint16(b, uint16(c))
	}
	w.u16(va, uint16(len(b)))
	w.u16(va+2, uint16(len(b)+2))
	w.words(va+8, buffer)
	w.write(buffer, append(b, 0, 0))
}

// ring links LIST_ENTRYs into a list, the first of them its head.
func (w world) ring(entries ...mem.VA) {
	for i, e := range entries {
		w.words(e, entries[(i+1)%len(entries)], entries[(i+len(entries)-1)%len(entries)])
	}
}

func (w world) reader() *mem.Ranges {
	var pages []mem.VA
	for va := range w {
		pages = append(pages, va)
	}
	sort.Slice(pages, func(i, j int) bool { return pages[i] < pages[j] })
	var file []byte
	var runs []mem.Range
	for _, va := range pages {
		runs = append(runs, mem.Range{Address: va, Size: worldPage, Offset: int64(len(file))})
		file = append(file, w[va]...)
	}
	return mem.NewRanges(bytes.NewReader(file), int64(len(file)), runs)
}

// The images of a world.
const (
	worldKernel   = mem.VA(0xfffff804_10000000)
	worldKernelSz = 0x1000000
	worldMyfault  = mem.VA(0xfffff804_20000000)
	worldStorport = mem.VA(0xfffff804_30000000)
	worldData     = worldKernel + 0x400000 // where the kernel's variables are
)

var worldImages = []dump.Driver{
	{Name: "ntoskrnl.exe", Base: worldKernel, Size: worldKernelSz},
	{Name: "myfault.sys", Base: worldMyfault, Size: 0x8000},
	{Name: "storport.sys", Base: worldStorport, Size: 0x20000},
}

// kernels are the debugger data blocks by which the table knows kernels.
var kernels = map[string][]byte{
	"17763": debuggerData(0x850, 0x3e0, 0x7ec0, 0x810),
	"19041": debuggerData(0xa40, 0x540, 0xaf00, 0x898),
	"22000": debuggerData(0xb80, 0x540, 0xbf00, 0x8f0),
	// The table does not have this one.
	"unknown": debuggerData(0xa48, 0x540, 0xaf00, 0x898),
}

// machine is a machine with that memory and a kernel of the table. Variables are
// named by their fields in the debugger data block.
func (w world) machine(kernel string, variables map[int]mem.VA) *Machine {
	kdbg := bytes.Clone(kernels[kernel])
	for off, va := range variables {
		binary.LittleEndian.PutUint64(kdbg[off:], uint64(va))
	}
	f := &dump.File{Arch: dump.X64, Memory: w.reader(), Drivers: worldImages}
	f.Blocks.DebuggerData = kdbg
	return Open(f)
}

// withSymbols gives a machine symbols of its kernel: addresses by name.
func withSymbols(tb testing.TB, m *Machine, variables map[string]mem.VA) *Machine {
	tb.Helper()
	type symbol struct {
		Address uint64 `json:"address"`
	}
	all := map[string]symbol{}
	for name, va := range variables {
		all[name] = symbol{uint64(va - worldKernel)}
	}
	b, err := json.Marshal(map[string]any{"symbols": all})
	if err != nil {
		tb.Fatal(err)
	}
	isf, err := symbols.OpenISF(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		tb.Fatalf("symbols: %v", err)
	}
	m.structures.types = &symbols.Module{ISF: isf}
	return m
}

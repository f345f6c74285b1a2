package kernel

import (
	"encoding/binary"
	"reflect"
	"strings"
	"testing"

	"bugcheck/dump"
	"bugcheck/mem"
)

// Where the triage data of these tests stand.
const (
	triageAt = mem.VA(0xffffb30c51000000)
	queueAt  = mem.VA(0xffffb30c52000000)
	entryAt  = mem.VA(0xffffb30c53000000)
	pnpNode  = mem.VA(0xffffb30c54000000)
	nodeText = mem.VA(0xffffb30c55000000)
	fxAt     = mem.VA(0xffffb30c56000000)
)

// pnpWorld has one request of Plug and Play, for a device whose request is an IRP that
// is not in the dump.
func pnpWorld() world {
	w := world{}
	w.u16(triageAt, 0x8001)
	w.words(triageAt+8, queueAt)
	w.ring(queueAt, entryAt)
	w.words(entryAt+0x10, pnpNode)
	w.words(pnpNode+0x20, 0xffffb30c57000000)
	w.text(pnpNode+0x28, nodeText, `USB\VID_1234&PID_5678\1`)
	w.text(pnpNode+0x38, nodeText+0x100, "vendor1")
	w.words(pnpNode+0x48, 0xffffb30c58000000)
	w.words(fxAt+0x10, 0xffffb30c58000000)
	w.words(fxAt+0x30, pnpNode)
	return w
}

func TestPnPRequests(t *testing.T) {
	want := DeviceNode{Address: pnpNode, Device: 0xffffb30c57000000, Service: "vendor1", Instance: `USB\VID_1234&PID_5678\1`, PendingIRP: 0xffffb30c58000000}
	for _, tt := range []struct {
		name    string
		harm    func(world)
		found   int
		problem string
	}{
		{"whole", func(world) {}, 1, ""},
		{"no request", func(w world) { w.ring(queueAt) }, 0, ""},
		{"another signature", func(w world) { w.u16(triageAt, 0x8000) }, 0, "signature"},
		{"a torn list", func(w world) { w.words(entryAt, 0xffffb30c59000000) }, 1, "plug and play requests"},
		{"a list that comes back to itself", func(w world) { w.words(entryAt, entryAt) }, 1, "plug and play requests"},
		{"a node that is not there", func(w world) { w.words(entryAt+0x10, 0xffffb30c59000000) }, 1, "device node"},
	} {
		w := pnpWorld()
		tt.harm(w)
		list, err := w.machine("19041", nil).PnPRequests(triageAt)
		if len(list) != tt.found || (err == nil) != (tt.problem == "") || err != nil && !strings.Contains(err.Error(), tt.problem) {
			t.Errorf("%s: %d requests, %v, want %d, %q", tt.name, len(list), err, tt.found, tt.problem)
		}
		if tt.name == "whole" && !reflect.DeepEqual(list[0], want) {
			t.Errorf("%+v, want %+v", list[0], want)
		}
	}
}

func TestPowerFxDevice(t *testing.T) {
	n, err := pnpWorld().machine("19041", nil).PowerFxDevice(fxAt)
	if err != nil || n.Service != "vendor1" || n.PendingIRP != 0xffffb30c58000000 {
		t.Errorf("%+v, %v", n, err)
	}
	if _, err := pnpWorld().machine("19041", nil).PowerFxDevice(fxAt + 0x100000); err == nil {
		t.Error("no error where nothing is")
	}
}

// TestDPCSamples: of a small dump, whose processor's block says where they are.
func TestDPCSamples(t *testing.T) {
	const field = 0x84a8
	at := entryAt
	for _, tt := range []struct {
		name          string
		signature     uint32
		length        uint32
		pointer       mem.VA
		found         int
		withoutSample bool
	}{
		{"whole", 0xaebecede, 24, at, 2, false}, // an empty place between two
		{"another signature", 0xaebecedf, 24, at, 0, true},
		{"no samples", 0xaebecede, 24, 0, 0, true},
		{"a length that lies", 0xaebecede, 0xfffffff0, at, 2, true},
		{"samples that are not there", 0xaebecede, 24, at + 0x10000, 0, true},
	} {
		w := world{}
		w.u32(triageAt, tt.signature)
		w.u16(triageAt+8, field)
		w.u32(triageAt+0xc, tt.length)
		w.words(at, worldMyfault+0x1100, 0, worldKernel+0x2000)
		m := w.machine("19041", nil)
		m.Blocks.PRCB = make([]byte, 0xaf00)
		binary.LittleEndian.PutUint64(m.Blocks.PRCB[field:], uint64(tt.pointer))
		list, err := m.DPCSamples(triageAt)
		if len(list) != tt.found || (err != nil) != tt.withoutSample {
			t.Errorf("%s: %v, %v, want %d", tt.name, list, err, tt.found)
		}
	}
}

func TestExitStatus(t *testing.T) {
	w := world{}
	w.u32(triageAt+0x7d4, 0xc0000006)
	m := w.machine("19041", nil)
	if status, ok := m.ExitStatus(triageAt, false); !ok || status != 0xc0000006 {
		t.Errorf("0x%x, %v", status, ok)
	}
	if _, ok := m.ExitStatus(triageAt+0x100000, false); ok {
		t.Error("a status where nothing is")
	}
	if _, ok := w.machine("unknown", nil).ExitStatus(triageAt, false); ok {
		t.Error("a status of a kernel whose layout is not known")
	}
}

func TestText(t *testing.T) {
	w := world{}
	w.write(triageAt, append([]byte("csrss.exe"), 0))
	w.write(queueAt+worldPage-4, []byte("long"))
	m := w.machine("19041", nil)
	for va, want := range map[mem.VA]string{triageAt: "csrss.exe", queueAt + worldPage - 4: "", entryAt: ""} {
		if got := m.Text(va, 16); got != want {
			t.Errorf("%v: %q, want %q", va, got, want)
		}
	}
	w.text(pnpNode, nodeText, "vendor1")
	m = w.machine("19041", nil)
	if got := m.UnicodeString(pnpNode); got != "vendor1" {
		t.Errorf("%q", got)
	}
	m.Arch = dump.X86
	if got := m.UnicodeString(pnpNode); got != "" {
		t.Errorf("32-bit: %q", got)
	}
}

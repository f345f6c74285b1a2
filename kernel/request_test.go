package kernel

import (
	"reflect"
	"strings"
	"testing"

	"bugcheck/mem"
)

const (
	threadAt   = mem.VA(0xffffa00d_01000080)
	requestAt  = mem.VA(0xffffa00d_02000010)
	request2At = mem.VA(0xffffa00d_02002010)
	deviceAt   = mem.VA(0xffffa00d_03000100)
	device2At  = mem.VA(0xffffa00d_03001100)
	driverAt   = mem.VA(0xffffa00d_04000100)
	driver2At  = mem.VA(0xffffa00d_04001100)
	fileAt     = mem.VA(0xffffa00d_05000010)
	directory  = mem.VA(0xffff8805_06000000)
	texts      = mem.VA(0xffff8805_0a000000)
)

// irp writes an IRP with its stack locations: device and completion routine of each.
func (w world) irp(va mem.VA, current uint8, locations ...[2]mem.VA) {
	w.u16(va, 6)
	w.u16(va+2, 0xd0+uint16(len(locations))*0x48)
	w.u8(va+0x40, 1)
	w.u8(va+0x42, uint8(len(locations)), current)
	w.words(va+0x98, threadAt)
	w.words(va+0xb8, va+0xd0+mem.VA(current-1)*0x48)
	for i, l := range locations {
		at := va + 0xd0 + mem.VA(i)*0x48
		if l[0] != 0 {
			w.u8(at, 0xe, 0, 5, 1)
			w.words(at+8, 0, 0x10, 0x83360018, 0)
			w.words(at+0x30, fileAt)
		}
		w.words(at+0x28, l[0])
		w.words(at+0x38, l[1])
	}
}

// device writes a DEVICE_OBJECT without a name.
func (w world) device(va, driver, next, above, below mem.VA) {
	w.u16(va, 3)
	w.words(va+8, driver, next, above)
	w.words(va+0x138, va+0x150)
	w.words(va+0x150+0x28, 0, below)
	w.u8(va-0x30+0x1a, 0)
}

func (w world) driver(va, start, device mem.VA, name string, routines ...mem.VA) {
	w.u16(va, 4)
	w.words(va+8, device)
	w.words(va+0x18, start, 0x8000)
	w.text(va+0x38, texts+va&0xffff000, name)
	for i := range 28 {
		w.words(va+0x70+mem.VA(8*i), routines[min(i, len(routines)-1)])
	}
}

// named gives an object a name in a directory.
func (w world) named(object, dir mem.VA, name string) {
	w.u8(object-0x30+0x1a, 2)
	w.words(object-0x50, dir)
	w.text(object-0x48, texts+0x10000000+object&0xffffff0, name)
}

// ioWorld is a thread with one request that myfault.sys has.
func ioWorld() world {
	w := world{}
	w.ring(threadAt+0x4b0, requestAt+0x20)
	w.irp(requestAt, 1, [2]mem.VA{deviceAt, 0})
	w.device(deviceAt, driverAt, 0, 0, 0)
	w.driver(driverAt, worldMyfault, deviceAt, `\Driver\MYFAULT`, worldMyfault+0x1000)
	w.u16(fileAt, 5)
	w.words(fileAt+8, deviceAt)
	w.text(fileAt+0x58, texts, `\x`)
	return w
}

func TestThreadIRPs(t *testing.T) {
	list, err := ioWorld().machine("19041", nil).ThreadIRPs(threadAt)
	if err != nil || len(list) != 1 {
		t.Fatalf("ThreadIRPs: %+v, %v", list, err)
	}
	want := Request{
		IRP:    IRP{Address: requestAt, Device: deviceAt, Driver: "myfault.sys", CurrentLocation: 1, Count: 1, Major: 0xe, PowerType: 0x10},
		Thread: threadAt, UserMode: true, File: FileObject{Address: fileAt, Device: deviceAt, Name: `\x`},
		Locations: []StackLocation{{Number: 1, Current: true, Major: 0xe, Flags: 5, Control: 1, Parameters: [4]uint64{0, 0x10, 0x83360018, 0},
			Device: deviceAt, Driver: "myfault.sys", File: fileAt}},
	}
	if !reflect.DeepEqual(list[0], want) {
		t.Errorf("got %+v\nwant %+v", list[0], want)
	}
	if h, ok := list[0].Holder(); !ok || h.Driver != "myfault.sys" || !h.Pending() {
		t.Errorf("Holder() = %+v, %v", h, ok)
	}
}

// TestThreadIRPs_WithoutTable: of a kernel that the table does not have the debugger
// data block says where the list is.
func TestThreadIRPs_WithoutTable(t *testing.T) {
	const irpList = 0x34c // OffsetEThreadIrpList
	if list, err := ioWorld().machine("unknown", nil).ThreadIRPs(threadAt); err == nil || list != nil {
		t.Errorf("without a layout: %+v, %v", list, err)
	}
	if list, err := ioWorld().machine("unknown", map[int]mem.VA{irpList: 0x4b0}).ThreadIRPs(threadAt); err != nil || len(list) != 1 || list[0].Driver != "myfault.sys" {
		t.Errorf("ThreadIRPs: %+v, %v", list, err)
	}
}

func TestRequest_Holder(t *testing.T) {
	a, b := [2]mem.VA{deviceAt, worldStorport + 0x100}, [2]mem.VA{device2At, 0}
	for _, tt := range []struct {
		name      string
		current   uint8
		locations [][2]mem.VA
		want      string
		number    uint8
	}{
		{"at the lower driver", 1, [][2]mem.VA{a, b}, "myfault.sys", 1},
		{"at the upper driver", 2, [][2]mem.VA{{}, b}, "storport.sys", 2},
		{"not passed on", 3, [][2]mem.VA{{}, b}, "storport.sys", 2},
	} {
		w := ioWorld()
		w.irp(request2At, tt.current, tt.locations...)
		w.device(device2At, driver2At, 0, 0, deviceAt)
		w.driver(driver2At, worldStorport, device2At, `\Driver\storport`, worldStorport+0x1000)
		r, _ := w.machine("19041", nil).Request(request2At)
		if h, ok := r.Holder(); !ok || h.Driver != tt.want || h.Number != tt.number {
			t.Errorf("%s: Holder() = %+v, %v; want %s at %d", tt.name, h, ok, tt.want, tt.number)
		}
		if tt.locations[0] == a && r.Locations[0].CompletionImage != "storport.sys" {
			t.Errorf("%s: completion routine in %q, want storport.sys", tt.name, r.Locations[0].CompletionImage)
		}
	}
	if h, ok := (Request{}).Holder(); ok {
		t.Errorf("a request without locations has a holder: %+v", h)
	}
}

// Each missing piece: the request is still there, with what was read before.
func TestThreadIRPs_Torn(t *testing.T) {
	for _, tt := range []struct {
		name    string
		harm    func(w world)
		want    int
		address mem.VA
	}{
		{"the thread is missing", func(w world) { delete(w, threadAt&^0xfff) }, 0, threadAt + 0x4b0},
		{"the request is missing", func(w world) { delete(w, requestAt&^0xfff) }, 0, requestAt + 0x20},
		{"the device is missing", func(w world) { delete(w, deviceAt&^0xfff) }, 1, deviceAt},
		{"a cycle", func(w world) { w.words(requestAt+0x20, requestAt+0x20) }, 1, requestAt + 0x20},
		{"not an IRP", func(w world) { w.u16(requestAt, 9) }, 1, requestAt},
		{"too many locations", func(w world) { w.u8(requestAt+0x42, 200) }, 1, requestAt},
	} {
		w := ioWorld()
		tt.harm(w)
		list, err := w.machine("19041", nil).ThreadIRPs(threadAt)
		if len(list) != tt.want || err == nil || !strings.Contains(err.Error(), tt.address.String()) {
			t.Errorf("%s: %d requests, %v; want %d and an error that names %v", tt.name, len(list), err, tt.want, tt.address)
		}
	}
}

func TestFileObject_Relative(t *testing.T) {
	for _, tt := range []struct {
		names []string // of the file, of the one it was opened relative to, …
		want  string
	}{
		{[]string{`\Windows\a.txt`}, `\Windows\a.txt`},
		{[]string{`a.txt`, `\Windows`}, `\Windows\a.txt`},
		{[]string{`a.txt`, ``}, `a.txt`},
		{[]string{`c`, `b`, `\a`, `\not reached`}, `\a\b\c`},
		{[]string{``}, ``},
	} {
		w := world{}
		for i, name := range tt.names {
			at := fileAt + mem.VA(i)*0x1000
			w.u16(at, 5)
			w.text(at+0x58, texts+mem.VA(i)*0x100, name)
			if i+1 < len(tt.names) {
				w.words(at+0x40, at+0x1000)
			}
		}
		if f, err := w.machine("19041", nil).FileObject(fileAt); err != nil || f.Name != tt.want {
			t.Errorf("%q: %q, %v; want %q", tt.names, f.Name, err, tt.want)
		}
	}
	w := world{}
	w.u16(fileAt, 5)
	w.text(fileAt+0x58, texts, "x")
	w.words(fileAt+0x40, fileAt) // relative to itself
	if f, err := w.machine("19041", nil).FileObject(fileAt); err != nil || len(f.Name) != 2*maxRelatedFiles-1 {
		t.Errorf("a file relative to itself: %q, %v", f.Name, err)
	}
}

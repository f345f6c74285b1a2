package kernel

import (
	"encoding/binary"
	"testing"
	"unicode/utf16"

	"bugcheck/mem"
)

// utf16Bytes is text as UTF-16.
func utf16Bytes(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// A pointer of unknown kind leads to words of any kind, or to none.
func TestTextAt(t *testing.T) {
	const at = mem.VA(0xffffa00d_07000000)
	for _, tt := range []struct{ name, want string }{
		{"counted", `\Driver\vendor1`}, {"utf16", "ntdll.dll"}, {"ascii", "vendor1.sys"}, {"noise", ""}, {"nothing", ""},
	} {
		w := world{}
		switch tt.name {
		case "counted":
			w.text(at, at+0x100, tt.want)
		case "utf16":
			w.u8(at, append(utf16Bytes(tt.want), 0, 0)...)
		case "ascii":
			w.u8(at, append([]byte(tt.want), 0)...)
		case "noise":
			w.u8(at, 0x81, 0x1b, 0x07, 0xff, 0xfe, 1, 2, 3, 0, 0, 0, 0)
		}
		if got := w.machine("19041", nil).TextAt(at); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A work item leads to its routine and to the driver of the object that it was made
// for; other memory is none.
func TestWorkItem(t *testing.T) {
	const item = mem.VA(0xffffa00d_08000000)
	w := ioWorld()
	w.words(item+0x20, worldMyfault+0x1234, deviceAt)
	w.words(item+0x100+0x20, worldMyfault+0x1234, driverAt)
	w.words(item+0x200+0x20, worldMyfault+0x1234, item)
	m := w.machine("19041", nil)
	for _, tt := range []struct {
		va mem.VA
		ok bool
	}{{item, true}, {item + 0x100, true}, {item + 0x200, false}, {0x1234, false}} {
		routine, driver, ok := m.WorkItem(tt.va)
		if ok != tt.ok || ok && (driver != "myfault.sys" || routine.Address != worldMyfault+0x1234) {
			t.Errorf("WorkItem(%v): %+v, %q, %v", tt.va, routine, driver, ok)
		}
	}
}

// The object manager's counts stand in front of an object, a type's name inside it.
func TestObjectCounts(t *testing.T) {
	const object, kind = mem.VA(0xffffa00d_08000030), mem.VA(0xffffa00d_08001000)
	w := world{}
	w.words(object-0x30, ^mem.VA(0), 2)
	w.text(kind+0x10, kind+0x200, "File")
	m := w.machine("19041", nil)
	if references, handles, err := m.ObjectCounts(object); err != nil || references != -1 || handles != 2 {
		t.Errorf("ObjectCounts: %d, %d, %v", references, handles, err)
	}
	if got := m.TypeName(kind); got != "File" {
		t.Errorf("TypeName: %q", got)
	}
	if _, _, err := m.ObjectCounts(0x1234); err == nil {
		t.Error("ObjectCounts of nothing: no error")
	}
}

// A record of callers is searched for addresses of code; others are passed over.
func TestCallersIn(t *testing.T) {
	const record = mem.VA(0xffffa00d_08000000)
	w := world{}
	w.words(record+0x48, worldKernel+0x2000, worldMyfault+0x1234, 0x1234, record)
	got := w.machine("19041", nil).CallersIn(record)
	if len(got) != 2 || got[0] != worldKernel+0x2000 || got[1] != worldMyfault+0x1234 {
		t.Errorf("CallersIn: %v", got)
	}
}

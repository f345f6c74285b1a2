package kernel_test

import (
	"strings"
	"testing"
)

func TestBugCheckData(t *testing.T) {
	for _, tt := range []struct {
		name string
		put  func(w *world)
		code uint32
		note string
	}{
		{"the same", func(*world) {}, 0xd1, ""},
		{"another", func(w *world) { w.put64(w.nt+0x801010, 0x50) }, 0xd1, "another stop code: 0x50"},
		{"none in memory", func(w *world) { w.put64(w.nt+0x801010, 0) }, 0xd1, ""},
		{"none in the header", func(w *world) { w.header.BugCheckCode = 0x45474150; w.header.Parameters[0] = 0 }, 0xd1, "It holds no stop code"},
	} {
		w := newWorld(t, "x64 19041")
		tt.put(w)
		m := w.open()
		if m.Header.BugCheckCode != tt.code || m.Header.Parameters[0] != 1 {
			t.Errorf("%s: stop code %#x with %#x, want %#x with 1", tt.name, m.Header.BugCheckCode, m.Header.Parameters[0], tt.code)
		}
		if tt.note == "" && len(m.Notes) > 0 || !strings.Contains(notes(m), tt.note) {
			t.Errorf("%s: notes %q, want %q", tt.name, notes(m), tt.note)
		}
	}
	w := newWorld(t, "x64 19041")
	d, err := w.open().BugCheckData()
	if err != nil || d.Code != 0xd1 || d.Parameters != w.header.Parameters {
		t.Errorf("BugCheckData() = %+v, %v", d, err)
	}
}

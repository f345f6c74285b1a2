package lab

import "testing"

func TestSystem(t *testing.T) {
	for _, b := range []struct {
		arch  string
		build int
	}{{"x64", 17763}, {"x64", 19041}, {"x64", 20348}, {"x64", 22621}, {"x64", 26100}, {"arm64", 22000}, {"arm64", 26100}} {
		s, err := NewSystem(b.arch, b.build, 4<<30)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(b, len(s.variables), s.Memory.InUse(1), s.Memory.InUse(2))
	}
}

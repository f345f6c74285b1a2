package symbols

import "testing"

// Dumps of one machine share its modules; of very many machines the oldest are
// forgotten.
func TestModule_Kept(t *testing.T) {
	f, err := Open(Options{Path: t.TempDir(), Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := func(i int) Wanted { return Wanted{Name: "x.sys", Timestamp: uint32(i + 1), Size: 0x1000} }
	first := f.Module(t.Context(), want(0))
	if again := f.Module(t.Context(), want(0)); again != first {
		t.Error("the second dump's module was looked for anew")
	}
	for i := range maxModules {
		f.Module(t.Context(), want(i+1))
	}
	if n := len(f.loaded.modules); n != maxModules || len(f.loaded.order) != n {
		t.Errorf("%d modules are kept, in order %d; want %d", n, len(f.loaded.order), maxModules)
	}
	if again := f.Module(t.Context(), want(0)); again == first {
		t.Error("the oldest module was not forgotten")
	}
}

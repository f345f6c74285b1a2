package win

import (
	"slices"
	"strings"
	"testing"
)

// pointerWords are what the catalogue calls each kind: a row of pointers.tsv must
// rest on what the catalogue says of that parameter.
var pointerWords = map[string][]string{
	PointerIRP: {"irp"}, PointerDevice: {"device", "pdo"}, PointerDriver: {"driver"}, PointerFile: {"file object", "file context"},
	PointerThread: {"thread"}, PointerProcess: {"process"}, PointerResource: {"resource"}, PointerObject: {"object"},
	PointerType: {"type"}, PointerWorkItem: {"work item"}, PointerCallers: {"caller", "stacks", "tracking"},
	PointerCode:   {"routine", "code", "driver", "caller", "callback", "call"},
	PointerName:   {"name", "string", "path"},
	PointerTag:    {"name", "tag", "id"},
	PointerStatus: {"status", "exception code", "error"}, PointerRecord: {"exception record"},
	PointerContext: {"context record"}, PointerTrap: {"trap frame"}, PointerInstruction: {"instruction", "program counter"},
}

// described is what the catalogue says of a parameter.
func described(code uint32, p Pointer) string {
	if !p.always {
		if v, ok := English.Value(code, 1, p.when); ok && v.Others[p.Parameter-1] != "" {
			return v.Others[p.Parameter-1]
		}
	}
	c, _ := English.Code(code)
	return c.Parameters[p.Parameter-1]
}

func TestPointers_RestOnTheCatalogue(t *testing.T) {
	for code, list := range pointers() {
		if _, ok := English.Code(code); !ok {
			t.Errorf("0x%x is not in the catalogue", code)
		}
		for _, p := range list {
			text := strings.ToLower(described(code, p))
			if !slices.ContainsFunc(pointerWords[p.Kind], func(w string) bool { return strings.Contains(text, w) }) {
				t.Errorf("0x%x, parameter 1 0x%x (always: %t), parameter %d is %s in pointers.tsv, %q in the catalogue", code, p.when, p.always, p.Parameter, p.Kind, text)
			}
		}
	}
}

// TestPointers_OncePerParameter: no two rows speak of one parameter of one value.
func TestPointers_OncePerParameter(t *testing.T) {
	for code, list := range pointers() {
		for i, p := range list {
			for _, q := range list[i+1:] {
				if p.Parameter == q.Parameter && (p.always || q.always || p.when == q.when) {
					t.Errorf("0x%x: parameter %d stands twice: %s and %s", code, p.Parameter, p.Kind, q.Kind)
				}
			}
		}
	}
}

func TestPointers_ByValue(t *testing.T) {
	if got := Pointers(0x103, 3); len(got) != 2 || got[1].Kind != PointerDriver || got[1].Role != RoleNames {
		t.Errorf("0x103, kind 3: %+v", got)
	}
	if got := Pointers(0x103, 9); len(got) != 0 {
		t.Errorf("0x103, a kind that nobody documented: %+v", got)
	}
	if got := Pointers(0x44, 0xffffc50e6a1f7800); len(got) != 1 || got[0].Kind != PointerIRP {
		t.Errorf("0x44: %+v", got)
	}
}

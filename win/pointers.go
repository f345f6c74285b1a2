package win

import (
	"fmt"
	"sync"
)

// Pointer says what a parameter of a stop code points at.
type Pointer struct {
	Parameter int    // 1 to 4
	Kind      string // a Pointer* word
	Role      string // a Role* word
	when      uint64 // value of parameter 1 for which it holds
	always    bool
}

// The kinds of what a parameter points at, or is.
const (
	PointerIRP         = "irp"
	PointerDevice      = "device"
	PointerDriver      = "driver"
	PointerFile        = "file"
	PointerThread      = "thread"
	PointerProcess     = "process"
	PointerResource    = "resource" // an ERESOURCE, a lock
	PointerObject      = "object"   // any object of the object manager
	PointerType        = "type"     // an OBJECT_TYPE
	PointerCode        = "code"
	PointerWorkItem    = "workitem"
	PointerCallers     = "callers" // a record that holds return addresses
	PointerName        = "name"    // UNICODE_STRING, UTF-16 or ASCII
	PointerTag         = "tag"     // the value itself is four letters
	PointerStatus      = "status"  // the value itself is an NTSTATUS
	PointerRecord      = "record"
	PointerContext     = "context"
	PointerTrap        = "trap"
	PointerInstruction = "instruction"
)

// What it says of the driver that it leads to.
const (
	RoleNames  = "names"  // the documentation calls it the culprit
	RolePoints = "points" // it had to do with it
	RoleTells  = "tells"  // nothing
)

// pointerKinds and pointerRoles are the words that the table may use.
var (
	pointerKinds = map[string]bool{
		PointerIRP: true, PointerDevice: true, PointerDriver: true, PointerFile: true, PointerThread: true,
		PointerProcess: true, PointerResource: true, PointerObject: true, PointerType: true, PointerCode: true,
		PointerWorkItem: true, PointerCallers: true, PointerName: true, PointerTag: true,
		PointerStatus: true, PointerRecord: true, PointerContext: true, PointerTrap: true, PointerInstruction: true,
	}
	pointerRoles = map[string]bool{RoleNames: true, RolePoints: true, RoleTells: true}
)

// Pointers lists what the parameters of a code point at, where parameter 1 is p1;
// by rising parameter.
func Pointers(code uint32, p1 uint64) []Pointer {
	var list []Pointer
	for _, p := range pointers()[code] {
		if p.always || p.when == p1 {
			list = append(list, p)
		}
	}
	return list
}

var pointers = sync.OnceValue(func() map[uint32][]Pointer {
	all := map[uint32][]Pointer{}
	for _, row := range Table("pointers", 5) {
		p := Pointer{Parameter: int(number(row[2])), Kind: row[3], Role: row[4], always: row[1] == "*"}
		if !p.always {
			p.when = number(row[1])
		}
		if p.Parameter < 1 || p.Parameter > 4 || !pointerKinds[p.Kind] || !pointerRoles[p.Role] {
			panic(fmt.Sprintf("data/pointers.tsv: %q", row))
		}
		code := uint32(number(row[0]))
		all[code] = append(all[code], p)
	}
	return all
})

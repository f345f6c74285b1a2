package kernel

import (
	"fmt"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
)

// More of the IRP, the stack location and the FILE_OBJECT; sources as for the
// layouts in irp.go.
const (
	irpThreadListEntry     = 0x20
	irpIoStatus            = 0x30
	irpRequestorMode       = 0x40
	irpPendingReturned     = 0x41
	irpCancel              = 0x44
	irpCancelRoutine       = 0x68
	irpThread              = 0x98 // Tail.Overlay.Thread
	locationParameters     = 0x8
	locationFile           = 0x30
	locationCompletion     = 0x38
	locationContext        = 0x40
	fileType               = 5 // IO_TYPE_FILE
	fileDevice             = 0x8
	fileRelated            = 0x40
	fileObjectName         = 0x58
	fileSize               = 0xd8
	maxLocations           = 127 // IRP.StackCount is a CHAR
	maxThreadIRPs          = 4096
	maxRelatedFiles        = 16
	pendingReturnedControl = 1 // SL_PENDING_RETURNED
)

// Request is an IRP with all that its drivers wrote down.
type Request struct {
	IRP
	Thread        mem.VA // that it was made for; zero: none
	Status        uint32 // IoStatus.Status
	UserMode      bool   // a program asked for it
	Pending       bool   // PendingReturned
	Cancelled     bool   // Cancel
	CancelRoutine mem.VA // zero: it cannot be cancelled
	File          FileObject
	Locations     []StackLocation // by number: the first is the lowest driver's
}

// StackLocation is what one driver of the device's stack was asked.
type StackLocation struct {
	Number          uint8 // from 1, as IRP.CurrentLocation counts
	Current         bool  // its driver has the request
	Major, Minor    uint8
	Flags, Control  uint8
	Parameters      [4]uint64
	Device          mem.VA
	Driver          string // image of the device's driver; "" if not in the dump
	File            mem.VA
	Completion      mem.VA // routine of the driver above
	CompletionImage string // that it lies in; "": in none
	Context         mem.VA
}

// Unused reports that no driver was called with this location yet, or that it was
// cleared when its driver was done.
func (s StackLocation) Unused() bool { return s.Device == 0 && s.Completion == 0 && s.Major == 0 }

// Pending reports that the driver called IoMarkIrpPending.
func (s StackLocation) Pending() bool { return s.Control&pendingReturnedControl != 0 }

// Request reads an IRP with its stack locations, which stand behind it. What it
// could follow is returned beside the first error.
func (m *Machine) Request(va mem.VA) (Request, error) {
	r := Request{}
	var err error
	r.IRP, err = m.IRP(va)
	if m.Arch == dump.X86 {
		return r, err
	}
	b, errRead := mem.Read(m.Memory, va, irpSize)
	if errRead != nil || le.U16(b, 0) != irpType {
		return r, err
	}
	r.Thread = mem.VA(le.U64(b, irpThread))
	r.Status = le.U32(b, irpIoStatus)
	r.UserMode, r.Pending, r.Cancelled = b[irpRequestorMode] == 1, b[irpPendingReturned] != 0, b[irpCancel] != 0
	r.CancelRoutine = mem.VA(le.U64(b, irpCancelRoutine))
	if r.Count > maxLocations {
		return r, fmt.Errorf("IRP at %v: %d stack locations", va, r.Count)
	}
	for n := range r.Count {
		l, errLocation := m.stackLocation(va+irpSize+mem.VA(n)*stackLocationSize, n+1)
		if errLocation != nil {
			return r, firstError(err, errLocation)
		}
		l.Current = l.Number == r.CurrentLocation
		r.Locations = append(r.Locations, l)
	}
	if f := r.file(); f != 0 {
		r.File, _ = m.FileObject(f) // its name is an ornament of the request
	}
	return r, err
}

// firstError is the first of several that is one.
func firstError(list ...error) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}

// file is the FILE_OBJECT of the highest stack location that has one.
func (r Request) file() mem.VA {
	for i := len(r.Locations) - 1; i >= 0; i-- {
		if f := r.Locations[i].File; f != 0 {
			return f
		}
	}
	return 0
}

// Holder is the stack location whose driver has the request: the current one, or
// where the request was not yet passed on the highest that was filled in.
func (r Request) Holder() (StackLocation, bool) {
	for _, l := range r.Locations {
		if l.Current {
			return l, true
		}
	}
	for i := len(r.Locations) - 1; i >= 0; i-- {
		if !r.Locations[i].Unused() {
			return r.Locations[i], true
		}
	}
	return StackLocation{}, false
}

func (m *Machine) stackLocation(va mem.VA, number uint8) (StackLocation, error) {
	b, err := mem.Read(m.Memory, va, stackLocationSize)
	if err != nil {
		return StackLocation{}, fmt.Errorf("stack location %d at %v: %w", number, va, err)
	}
	l := StackLocation{
		Number: number, Major: b[0], Minor: b[1], Flags: b[2], Control: b[3],
		Device:     mem.VA(le.U64(b, stackLocationDevice)),
		File:       mem.VA(le.U64(b, locationFile)),
		Completion: mem.VA(le.U64(b, locationCompletion)),
		Context:    mem.VA(le.U64(b, locationContext)),
	}
	for i := range l.Parameters {
		l.Parameters[i] = le.U64(b, locationParameters+8*i)
	}
	if l.Device != 0 {
		l.Driver, _ = m.deviceDriver(l.Device) // "" says that it is not there
	}
	if mod, ok := m.ModuleAt(l.Completion); ok {
		l.CompletionImage = mod.Name
	}
	return l, nil
}

// ThreadIRPs lists the requests that a thread made and that are not completed,
// from ETHREAD.IrpList: they name the driver that a destroyed stack does not. What
// was read is returned beside the error.
func (m *Machine) ThreadIRPs(thread mem.VA) ([]Request, error) {
	at, err := m.irpList()
	if err != nil {
		return nil, fmt.Errorf("thread at %v: %w", thread, err)
	}
	entries, err := m.ring(m.Memory, thread+mem.VA(at), maxThreadIRPs)
	if err != nil {
		err = fmt.Errorf("requests of the thread at %v: %w", thread, err)
	}
	var list []Request
	for _, entry := range entries {
		r, errIRP := m.Request(entry - irpThreadListEntry)
		err = firstError(err, errIRP)
		list = append(list, r)
	}
	return list, err
}

// irpList is where ETHREAD.IrpList stands.
func (m *Machine) irpList() (int, error) {
	if m.Arch == dump.X86 {
		return 0, fmt.Errorf("32-bit I/O objects are not decoded")
	}
	if at := m.Field("_ETHREAD", "IrpList"); at >= 0 {
		return at, nil
	}
	return 0, fmt.Errorf("the layout of _ETHREAD.IrpList is not known for this kernel")
}

// FileObject is an open file.
type FileObject struct {
	Address mem.VA
	Device  mem.VA // DEVICE_OBJECT that it was opened on
	Name    string // on that device; with the names of the files that it was opened relative to
}

// FileObject reads a FILE_OBJECT. Its name is "" where the device itself is open.
func (m *Machine) FileObject(va mem.VA) (FileObject, error) {
	f := FileObject{Address: va}
	if m.Arch == dump.X86 {
		return f, fmt.Errorf("file object at %v: 32-bit I/O objects are not decoded", va)
	}
	for at, n := va, 0; at != 0 && n < maxRelatedFiles; n++ {
		b, err := mem.Read(m.Memory, at, fileSize)
		if err != nil {
			return f, fmt.Errorf("file object at %v: %w", at, err)
		}
		if le.U16(b, 0) != fileType {
			return f, fmt.Errorf("file object at %v: the type field holds 0x%x, not a file's", at, le.U16(b, 0))
		}
		if at == va {
			f.Device = mem.VA(le.U64(b, fileDevice))
		}
		name := m.unicodeString(at + fileObjectName)
		f.Name = joinPath(name, f.Name)
		if len(name) > 0 && name[0] == '\\' {
			break
		}
		at = mem.VA(le.U64(b, fileRelated))
	}
	return f, nil
}

// joinPath puts a name behind the name that it is relative to.
func joinPath(parent, name string) string {
	switch {
	case parent == "" || name == "":
		return parent + name
	case parent[len(parent)-1] == '\\' || name[0] == '\\':
		return parent + name
	}
	return parent + `\` + name
}

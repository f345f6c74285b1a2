package analyze

import (
	"fmt"
	"slices"
	"strings"

	"bugcheck/kernel"
	"bugcheck/mem"
	"bugcheck/report"
	"bugcheck/win"
)

// Following the parameters of a stop code to what they point at, by the table
// win/data/pointers.tsv: for every code alike, with or without a rule of its own.

// Pointed is what a parameter of the stop code points at, as far as it is in the dump.
type Pointed struct {
	Parameter int
	Kind      string   // a Pointer* word of package win
	Driver    string   // image that it leads to; "": none, or not known
	Symbol    string   // of code in that image
	Name      string   // of the object, or the words that stand there
	What      string   // of a request: IRP_MJ_DEVICE_CONTROL 0x83360018
	Stack     []string // of a request: the drivers that it went through, the first asked first
	Process   string   // of a thread, or of the thread that has a lock
	Thread    uint64   // its number
	Waiters   int      // for a lock
	Counts    *Counts
}

// Counts is what the object manager counts for an object.
type Counts struct{ References, Handles int64 }

// followers read one kind each; false: nothing can be said of it.
var followers = map[string]func(*kernel.Machine, mem.VA, *Pointed) bool{
	win.PointerIRP: followIRP, win.PointerDevice: followDevice, win.PointerDriver: followDriver,
	win.PointerFile: followFile, win.PointerThread: followThread, win.PointerProcess: followProcess,
	win.PointerResource: followResource, win.PointerObject: followObject, win.PointerType: followType,
	win.PointerWorkItem: followWorkItem, win.PointerCallers: followCallers, win.PointerName: followName,
}

// collectPointed follows the parameters that lead to memory.
func (c *collection) collectPointed() {
	f := &c.facts
	for _, p := range win.Pointers(f.Code, f.Parameters[0]) {
		va := mem.VA(f.Parameters[p.Parameter-1])
		follow := followers[p.Kind]
		if follow == nil || va < nullPages {
			continue
		}
		o := Pointed{Parameter: p.Parameter, Kind: p.Kind}
		if p.Kind == win.PointerObject {
			o.Kind = f.kindOfObject()
			follow = followers[o.Kind]
			if references, handles, err := c.m.ObjectCounts(va); err == nil {
				o.Counts = &Counts{References: references, Handles: handles}
			}
		}
		if follow(c.m, va, &o) || o.Counts != nil {
			if p.Role == win.RoleNames && p.Kind == win.PointerName {
				o.Driver = imageNamed(f.Images, o.Name)
			}
			f.Pointed = append(f.Pointed, o)
		}
	}
}

// kindsOfTypes are the object types whose objects are followed as what they are.
var kindsOfTypes = map[string]string{
	"File": win.PointerFile, "Device": win.PointerDevice, "Driver": win.PointerDriver,
	"Process": win.PointerProcess, "Thread": win.PointerThread,
}

// kindOfObject is the kind of the object that the parameters speak of, by the type
// that stands beside it.
func (f *Facts) kindOfObject() string {
	for _, o := range f.Pointed {
		if kind := kindsOfTypes[o.Name]; o.Kind == win.PointerType && kind != "" {
			return kind
		}
	}
	return win.PointerObject
}

// followContext starts the frames where a parameter says that the fault was, for codes
// whose rule did not look for it.
func (c *collection) followContext() {
	f := &c.facts
	list := win.Pointers(f.Code, f.Parameters[0])
	for _, p := range list {
		if p.Kind == win.PointerRecord && f.Exception == nil {
			c.recordAt(f.Parameters[p.Parameter-1])
		}
	}
	for _, p := range list {
		v := f.Parameters[p.Parameter-1]
		switch {
		case v < nullPages || c.registers != nil:
		case p.Kind == win.PointerContext:
			c.contextAt(v, report.T("context record (parameter %d)", p.Parameter))
		case p.Kind == win.PointerTrap:
			c.trapAt(v, report.T("trap frame (parameter %d)", p.Parameter))
		case p.Kind == win.PointerInstruction:
			c.faultAt(v, parameter(p.Parameter))
		}
	}
	if x := f.Exception; c.registers == nil && x != nil && x.Address != 0 {
		c.faultAt(x.Address, report.T("exception record"))
	}
}

// imageNamed finds the loaded driver that a name means: with or without its
// extension, with or without its folder.
func imageNamed(images []Image, name string) string {
	name = strings.ToLower(name[strings.LastIndexAny(name, `\/`)+1:])
	for _, i := range images {
		if l := strings.ToLower(i.Image); l == name || l == name+".sys" {
			return i.Image
		}
	}
	return ""
}

func followIRP(m *kernel.Machine, va mem.VA, o *Pointed) bool {
	r, err := m.Request(va)
	if r.Count == 0 || err != nil && mem.IsMissing(err) && r.Driver == "" && len(r.Locations) == 0 {
		return false
	}
	p := pending(m, r)
	if o.Driver, o.What, o.Name = p.Driver, p.what(), p.Device; o.Driver == "" {
		o.Driver = r.Driver
	}
	o.Stack = requestDrivers(r)
	return o.What != "" || o.Driver != ""
}

// requestDrivers lists the drivers whose devices a request went through, the first asked
// first: of a completed request they still stand there (IoCompleteRequest clears of a
// stack location no more than flags, parameters and file, macro ZeroIrpStackLocation
// in the public wdm.h of older kits).
func requestDrivers(r kernel.Request) []string {
	var list []string
	for i := len(r.Locations) - 1; i >= 0; i-- {
		if d := r.Locations[i].Driver; d != "" && !slices.Contains(list, d) && len(list) < maxShownDrivers {
			list = append(list, d)
		}
	}
	return list
}

// maxShownDrivers is what a person reads of a list of drivers.
const maxShownDrivers = 8

func followDevice(m *kernel.Machine, va mem.VA, o *Pointed) bool {
	d, err := m.DeviceObject(va)
	o.Driver, o.Name = d.Driver, d.Name
	if d.Instance != "" {
		o.Name = d.Instance
	}
	return o.Driver != "" || err == nil && o.Name != ""
}

func followDriver(m *kernel.Machine, va mem.VA, o *Pointed) bool {
	d, _ := m.DriverObject(va) // what was read says enough
	o.Driver, o.Name = d.Image, d.Name
	return o.Driver != "" || o.Name != ""
}

func followFile(m *kernel.Machine, va mem.VA, o *Pointed) bool {
	f, err := m.FileObject(va)
	if f.Device != 0 {
		d, _ := m.DeviceObject(f.Device) // its driver is an ornament of the file
		o.Driver = d.Driver
	}
	o.Name = f.Name
	return err == nil || o.Driver != ""
}

func followThread(m *kernel.Machine, va mem.VA, o *Pointed) bool {
	t, err := m.ThreadAt(va)
	if err != nil || t.ID == nil || *t.ID == 0 {
		return false
	}
	o.Thread = *t.ID
	if p, err := m.ProcessAt(t.Process); err == nil {
		o.Process = p.Name
	}
	if current, ok := m.Thread(); !ok || current.Address != va { // the current one's stack is judged as such
		o.Driver = driverOf(m, t)
	}
	return true
}

func followProcess(m *kernel.Machine, va mem.VA, o *Pointed) bool {
	p, err := m.ProcessAt(va)
	o.Name = p.Name
	return err == nil && o.Name != ""
}

func followResource(m *kernel.Machine, va mem.VA, o *Pointed) bool {
	r, err := m.Resource(va)
	if err != nil && len(r.Owners) == 0 {
		return false
	}
	o.Waiters = int(r.ExclusiveWaiters.Count + r.SharedWaiters.Count)
	if len(r.Owners) > 0 {
		followThread(m, r.Owners[0].Thread, o)
	}
	return true
}

func followObject(m *kernel.Machine, va mem.VA, o *Pointed) bool {
	o.Name, _ = m.ObjectPath(va) // most have none
	return o.Name != ""
}

func followType(m *kernel.Machine, va mem.VA, o *Pointed) bool {
	o.Name = m.TypeName(va)
	return o.Name != ""
}

func followWorkItem(m *kernel.Machine, va mem.VA, o *Pointed) bool {
	routine, driver, ok := m.WorkItem(va)
	if o.Driver = driver; routine.Image != "" {
		o.Driver = routine.Image
		o.Symbol, _ = m.NameOf(routine.Address)
	}
	return ok && o.Driver != ""
}

// followCallers takes the first driver of a third party among the callers saved in a
// record, else the first that is not the kernel.
func followCallers(m *kernel.Machine, va mem.VA, o *Pointed) bool {
	for _, at := range m.CallersIn(va) {
		mod, _ := m.ModuleAt(at)
		if mod.Module == "nt" || o.Driver != "" && !thirdParty(mod.Name) {
			continue
		}
		o.Driver = mod.Name
		o.Symbol, _ = m.NameOf(at)
		if thirdParty(mod.Name) {
			break
		}
	}
	return o.Driver != ""
}

func followName(m *kernel.Machine, va mem.VA, o *Pointed) bool {
	o.Name = m.TextAt(va)
	return o.Name != ""
}

// tag is a value that is four letters; "" if it is none.
func tag(v uint64) string {
	if v == 0 || v>>32 != 0 {
		return ""
	}
	s := fmt.Sprintf("%c%c%c%c", byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
	if !isPrintable(s) {
		return ""
	}
	return s
}

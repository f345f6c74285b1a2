package kernel_test

import (
	"encoding/binary"
	"reflect"
	"strings"
	"testing"
	"time"

	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/mem"
)

// Where the I/O objects of these tests stand.
const (
	irpAt       = 0xffffb30c51000000
	locationAt  = 0xffffb30c51000200
	deviceAt    = 0xffffb30c52000000
	extensionAt = 0xffffb30c52000200
	driverAt    = 0xffffb30c53000000
	nodeAt      = 0xffffb30c54000000
	textAt      = 0xffffb30c55000000
	powerAt     = 0xffffb30c56000000
	listHeadAt  = 0xffffb30c57000000
)

// irpBlock is an IRP of wdm.h: Type, Size, StackCount and CurrentLocation,
// Tail.Overlay.CurrentStackLocation; 0xd0 bytes.
func irpBlock(at, location uint64) lab.Block {
	b := make([]byte, 0xd0)
	binary.LittleEndian.PutUint16(b, 6) // IO_TYPE_IRP
	binary.LittleEndian.PutUint16(b[2:], 0x1c0)
	b[0x42], b[0x43] = 5, 3
	binary.LittleEndian.PutUint64(b[0xb8:], location)
	return lab.Block{Address: at, Data: b}
}

// locationBlock is an IO_STACK_LOCATION: IRP_MJ_POWER, IRP_MN_SET_POWER,
// Parameters.Power.Type, DeviceObject; 0x48 bytes.
func locationBlock(at, device uint64, powerType uint32) lab.Block {
	b := make([]byte, 0x48)
	b[0], b[1] = 0x16, 2
	binary.LittleEndian.PutUint32(b[0x10:], powerType)
	binary.LittleEndian.PutUint64(b[0x28:], device)
	return lab.Block{Address: at, Data: b}
}

// deviceBlock is a DEVICE_OBJECT: Type, Size, DriverObject,
// DeviceObjectExtension; 0x150 bytes.
func deviceBlock(at, driver, extension uint64) lab.Block {
	b := make([]byte, 0x150)
	binary.LittleEndian.PutUint16(b, 3) // IO_TYPE_DEVICE
	binary.LittleEndian.PutUint16(b[2:], 0x2d0)
	binary.LittleEndian.PutUint64(b[8:], driver)
	binary.LittleEndian.PutUint64(b[0x138:], extension)
	return lab.Block{Address: at, Data: b}
}

// driverBlock is a DRIVER_OBJECT: Type, Size, DeviceObject, DriverStart, DriverSize.
func driverBlock(at, device, start uint64) lab.Block {
	return lab.Words(at, 0x01500004, device, 0x12, start, 0x8000)
}

// nodeBlocks are a DEVICE_NODE with InstancePath and ServiceName, and the
// device extension that points at it.
func nodeBlocks(service, instance string) []lab.Block {
	s, i := utf16(service), utf16(instance)
	node := make([]byte, 0x48)
	putUnicodeString(node[0x28:], len(i), textAt)
	putUnicodeString(node[0x38:], len(s), textAt+0x1000)
	return []lab.Block{
		lab.Words(extensionAt, 13, deviceAt, 0, 0, 0, nodeAt),
		{Address: nodeAt, Data: node}, {Address: textAt, Data: i}, {Address: textAt + 0x1000, Data: s},
	}
}

func putUnicodeString(b []byte, n int, buffer uint64) {
	binary.LittleEndian.PutUint16(b, uint16(n))
	binary.LittleEndian.PutUint16(b[2:], uint16(n+2))
	binary.LittleEndian.PutUint64(b[8:], buffer)
}

func utf16(s string) []byte {
	var b []byte
	for _, c := range []byte(s) {
		b = append(b, c, 0)
	}
	return b
}

// ioMachine is a machine with the chain IRP, stack location, device, driver.
func ioMachine(b *lab.Build) *lab.Dump {
	d := lab.Machine(b)
	d.Blocks = append(d.Blocks, irpBlock(irpAt, locationAt), locationBlock(locationAt, deviceAt, 1),
		deviceBlock(deviceAt, driverAt, extensionAt), driverBlock(driverAt, deviceAt, d.Address("storport.sys", 0)))
	d.Blocks = append(d.Blocks, nodeBlocks("storahci", `PCI\VEN_8086&DEV_0000\3&11583659&0&B8`)...)
	return d
}

// without removes the block at an address.
func without(d *lab.Dump, at uint64) *lab.Dump {
	var kept []lab.Block
	for _, b := range d.Blocks {
		if b.Address != at {
			kept = append(kept, b)
		}
	}
	d.Blocks = kept
	return d
}

var builds64 = builds[:5]

func TestIRP(t *testing.T) {
	want := kernel.IRP{Address: irpAt, Device: deviceAt, Driver: "storport.sys", CurrentLocation: 3, Count: 5,
		Major: 0x16, Minor: 2, PowerType: 1}
	for _, b := range builds64 {
		m := open(t, ioMachine(b))
		if got, err := m.IRP(irpAt); err != nil || got != want {
			t.Errorf("%v: IRP = %+v, %v; want %+v", b, got, err, want)
		}
		wantDevice := kernel.Device{Address: deviceAt, Object: driverAt, Driver: "storport.sys", Service: "storahci",
			Instance: `PCI\VEN_8086&DEV_0000\3&11583659&0&B8`}
		if got, err := m.DeviceObject(deviceAt); err != nil || got != wantDevice {
			t.Errorf("%v: DeviceObject = %+v, %v; want %+v", b, got, err, wantDevice)
		}
	}
}

// Each missing piece: what was read before it comes beside the error.
func TestIRP_Torn(t *testing.T) {
	full := kernel.IRP{Address: irpAt, Device: deviceAt, CurrentLocation: 3, Count: 5, Major: 0x16, Minor: 2, PowerType: 1}
	for _, tt := range []struct {
		name    string
		missing uint64
		want    kernel.IRP
	}{
		{"IRP", irpAt, kernel.IRP{Address: irpAt}},
		{"stack location", locationAt, kernel.IRP{Address: irpAt, CurrentLocation: 3, Count: 5}},
		{"device object", deviceAt, full},
		{"driver object", driverAt, full},
	} {
		got, err := open(t, without(ioMachine(lab.Windows19041), tt.missing)).IRP(irpAt)
		if got != tt.want || !mem.IsMissing(err) || !strings.Contains(err.Error(), mem.VA(tt.missing).String()) {
			t.Errorf("without the %s: IRP = %+v, %v; want %+v and a fault at %v", tt.name, got, err, tt.want, mem.VA(tt.missing))
		}
	}
}

// The type field says that it is something else: an error that is no fault.
func TestIRP_WrongType(t *testing.T) {
	d := ioMachine(lab.Windows26100)
	for i := range d.Blocks {
		if d.Blocks[i].Address == irpAt { // let it be as long as a device object
			d.Blocks[i].Data = append(d.Blocks[i].Data, make([]byte, 0x80)...)
		}
	}
	m := open(t, d)
	if got, err := m.IRP(deviceAt); err == nil || mem.IsMissing(err) || got != (kernel.IRP{Address: deviceAt}) {
		t.Errorf("IRP of a device = %+v, %v", got, err)
	}
	if got, err := m.DeviceObject(irpAt); err == nil || mem.IsMissing(err) || got != (kernel.Device{Address: irpAt}) {
		t.Errorf("DeviceObject of an IRP = %+v, %v", got, err)
	}
}

// A driver whose image is not in the module list, and a device without a node:
// no names, no error.
func TestDeviceObject_Unnamed(t *testing.T) {
	d := without(without(ioMachine(lab.Windows19041), nodeAt), driverAt)
	d.Blocks = append(d.Blocks, driverBlock(driverAt, deviceAt, 0xfffff80000001000))
	if got, err := open(t, d).DeviceObject(deviceAt); err != nil || got != (kernel.Device{Address: deviceAt, Object: driverAt}) {
		t.Errorf("DeviceObject = %+v, %v; want no names and no error", got, err)
	}
}

func TestIRP_X86(t *testing.T) {
	m := open(t, lab.HighIRQLKernel(lab.Windows17763X86))
	if got, err := m.IRP(m.Blocks.StackTop); err == nil || got != (kernel.IRP{Address: m.Blocks.StackTop}) {
		t.Errorf("IRP = %+v, %v; want an error: 32-bit objects are not decoded", got, err)
	}
}

// powerMachine has a TRIAGE_9F_POWER with a list whose entries have the given
// successors: -1 stands for the head, i for entry i.
func powerMachine(head int, next ...int) *lab.Dump {
	d := ioMachine(lab.Windows19041)
	at := func(i int) uint64 {
		if i < 0 {
			return listHeadAt
		}
		return listHeadAt + 0x1000 + uint64(i)*0x100
	}
	d.Blocks = append(d.Blocks, lab.Words(powerAt, 0x18000, listHeadAt, 0, 0), lab.Words(listHeadAt, at(head), 0))
	for i, n := range next {
		irp := uint64(irpAt)
		if i%2 == 1 {
			irp = 0xffffb30c5f000000 // not in the dump
		}
		d.Blocks = append(d.Blocks, lab.Words(at(i), at(n), 0, irp, deviceAt+uint64(i)))
	}
	return d
}

func TestPowerIRPs(t *testing.T) {
	for _, tt := range []struct {
		name string
		head int
		next []int
		want int // entries
		torn bool
	}{
		{"empty", -1, nil, 0, false},
		{"three", 0, []int{1, 2, -1}, 3, false},
		{"an entry that points to itself", 0, []int{0}, 1, false},
		{"a ring without the head", 0, []int{1, 2, 0}, 3, false},
		{"a ring behind the first", 0, []int{1, 2, 1}, 3, false},
		{"a missing entry", 0, []int{1, 7, -1}, 2, true},
		{"a missing first entry", 7, nil, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := open(t, powerMachine(tt.head, tt.next...)).PowerIRPs(powerAt)
			if len(got) != tt.want {
				t.Fatalf("%d entries, want %d (error %v)", len(got), tt.want, err)
			}
			if tt.torn != mem.IsMissing(err) {
				t.Errorf("error %v, want a fault: %v", err, tt.torn)
			}
			for i, p := range got {
				driver := []string{"storport.sys", ""}[i%2] // every other IRP is not in the dump
				if p.PDO != mem.VA(deviceAt+uint64(i)) || p.Driver != driver {
					t.Errorf("entry %d = %+v, want device %#x, driver %q", i, p, deviceAt+uint64(i), driver)
				}
			}
		})
	}
}

func TestPowerIRPs_NoTriageData(t *testing.T) {
	m := open(t, powerMachine(0, -1))
	for _, va := range []mem.VA{0, irpAt, powerAt + 8, 0xfffffffffffffff8} {
		if got, err := m.PowerIRPs(va); err == nil || len(got) != 0 {
			t.Errorf("PowerIRPs(%v) = %d entries, %v; want an error", va, len(got), err)
		}
	}
	d := without(powerMachine(0, -1), listHeadAt)
	if got, err := open(t, d).PowerIRPs(powerAt); !mem.IsMissing(err) || len(got) != 0 {
		t.Errorf("without the list's head: %d entries, %v; want a fault", len(got), err)
	}
}

// A list of more entries than any machine has ends at the limit.
func TestPowerIRPs_Bounded(t *testing.T) {
	next := make([]int, 5000)
	for i := range next {
		next[i] = i + 1
	}
	got, _ := open(t, powerMachine(0, next...)).PowerIRPs(powerAt)
	if len(got) != 4096 {
		t.Errorf("%d entries of %d, want the limit of 4096", len(got), len(next))
	}
}

// A UNICODE_STRING that ends behind its block is left out, the device is not.
func TestDeviceObject_LongString(t *testing.T) {
	d := ioMachine(lab.Windows19041)
	for i := range d.Blocks {
		if d.Blocks[i].Address == nodeAt {
			putUnicodeString(d.Blocks[i].Data[0x28:], 0xffff, textAt)
		}
	}
	want := kernel.Device{Address: deviceAt, Object: driverAt, Driver: "storport.sys", Service: "storahci"}
	if got, err := open(t, d).DeviceObject(deviceAt); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("DeviceObject = %+v, %v; want %+v", got, err, want)
	}
}

// 4096 power requests whose one device node has names of 64 KiB.
func TestPowerIRPs_LongNames(t *testing.T) {
	next := make([]int, 4096)
	for i := range next {
		next[i] = i + 1
	}
	d := powerMachine(0, next...)
	for i := range d.Blocks {
		switch d.Blocks[i].Address {
		case nodeAt:
			putUnicodeString(d.Blocks[i].Data[0x28:], 0xfffe, textAt+0x10000)
			putUnicodeString(d.Blocks[i].Data[0x38:], 0xfffe, textAt+0x10000)
		}
	}
	text := make([]byte, 0x10000)
	for i := range text {
		text[i] = 'a' * byte(1-i%2)
	}
	d.Blocks = append(d.Blocks, lab.Block{Address: textAt + 0x10000, Data: text})
	for i := range d.Blocks { // all entries name the one IRP
		if b := d.Blocks[i]; b.Address > listHeadAt && len(b.Data) == 32 {
			put64(b.Data, 0x10, irpAt)
		}
	}
	b := labBytes(t, d)
	m := openBytes(t, b)
	start := time.Now()
	got, err := m.PowerIRPs(powerAt)
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("file of %d KiB: %d requests, %v, took %v", len(b)>>10, len(got), err, took)
	}
}

// A ring that never comes back to the head is a torn list.
func TestPowerIRPs_RingIsTorn(t *testing.T) {
	if got, err := open(t, powerMachine(0, 1, 2, 1)).PowerIRPs(powerAt); err == nil {
		t.Errorf("%d entries and no error", len(got))
	}
}

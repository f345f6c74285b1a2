package kernel

import (
	"errors"
	"fmt"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
)

// More of DRIVER_OBJECT, DEVICE_OBJECT and DEVOBJ_EXTENSION; sources as for the
// layouts in irp.go.
const (
	driverType        = 4 // IO_TYPE_DRIVER
	driverDevice      = 0x8
	driverSize        = 0x20
	driverName        = 0x38
	driverInit        = 0x58
	driverUnload      = 0x68
	driverMajor       = 0x70
	driverObjectSize  = 0x150
	deviceNext        = 0x10
	deviceAttached    = 0x18
	extensionAttached = 0x30

	maxDevices     = 4096    // of one driver
	maxAllDevices  = 1 << 16 // of all drivers
	maxDeviceStack = 64
)

// MajorFunctions is the number of routines in a DRIVER_OBJECT, by IRP_MJ_ code.
const MajorFunctions = 28

// Routine is a function by its address.
type Routine struct {
	Address mem.VA
	Image   string // that it lies in; "": in none
}

func (m *Machine) routine(va mem.VA) Routine {
	mod, _ := m.ModuleAt(va)
	return Routine{Address: va, Image: mod.Name}
}

// DriverObject is a loaded driver as the I/O manager knows it.
type DriverObject struct {
	Address      mem.VA
	Name         string // \Driver\MYFAULT
	Image        string // of the module that lies at Start; "": none
	Start        mem.VA
	Size         uint64 // bytes
	Init, Unload Routine
	Major        [MajorFunctions]Routine
	Devices      []mem.VA // DEVICE_OBJECTs, the newest first
}

// Foreign lists the IRP_MJ_ codes whose routine lies neither in the driver's image nor
// in the kernel's, which has the default routine, nor in that of a framework, which
// at least half of the routines lie in.
func (d DriverObject) Foreign(kernel string) []int {
	votes := map[string]int{}
	for _, r := range d.Major {
		votes[r.Image]++
	}
	var list []int
	for code, r := range d.Major {
		own := r.Image == d.Image && r.Image != "" || r.Image == kernel
		if r.Address != 0 && !own && (r.Image == "" || 2*votes[r.Image] < MajorFunctions) {
			list = append(list, code)
		}
	}
	return list
}

// DriverObject reads a DRIVER_OBJECT and the list of its devices. What was read is
// returned beside the error.
func (m *Machine) DriverObject(va mem.VA) (DriverObject, error) {
	return m.driverObject(va, maxDevices)
}

// driverObject reads a DRIVER_OBJECT with at most limit devices.
func (m *Machine) driverObject(va mem.VA, limit int) (DriverObject, error) {
	d := DriverObject{Address: va}
	if m.Arch == dump.X86 {
		return d, fmt.Errorf("driver object at %v: 32-bit I/O objects are not decoded", va)
	}
	b, err := mem.Read(m.Memory, va, driverObjectSize)
	if err != nil {
		return d, fmt.Errorf("driver object at %v: %w", va, err)
	}
	if le.U16(b, 0) != driverType {
		return d, fmt.Errorf("driver object at %v: the type field holds 0x%x, not a driver's", va, le.U16(b, 0))
	}
	d.Start, d.Size = mem.VA(le.U64(b, driverStart)), uint64(le.U32(b, driverSize))
	d.Image = m.routine(d.Start).Image
	d.Name = m.unicodeString(va + driverName)
	d.Init, d.Unload = m.routine(mem.VA(le.U64(b, driverInit))), m.routine(mem.VA(le.U64(b, driverUnload)))
	for i := range d.Major {
		d.Major[i] = m.routine(mem.VA(le.U64(b, driverMajor+8*i)))
	}
	d.Devices, err = m.deviceChain(mem.VA(le.U64(b, driverDevice)), limit, func(b []byte) (mem.VA, error) {
		return mem.VA(le.U64(b, deviceNext)), nil
	})
	if err != nil {
		return d, fmt.Errorf("devices of the driver object at %v: %w", va, err)
	}
	return d, nil
}

// deviceChain follows DEVICE_OBJECTs until next gives none.
func (m *Machine) deviceChain(device mem.VA, limit int, next func(b []byte) (mem.VA, error)) ([]mem.VA, error) {
	var list []mem.VA
	seen := map[mem.VA]bool{}
	for device != 0 {
		if seen[device] || len(list) == limit {
			return list, fmt.Errorf("device object at %v comes again, or is one of more than %d", device, limit)
		}
		b, err := mem.Read(m.Memory, device, deviceAttached+8)
		if err != nil {
			return list, fmt.Errorf("device object at %v: %w", device, err)
		}
		if le.U16(b, 0) != deviceType {
			return list, fmt.Errorf("device object at %v: the type field holds 0x%x, not a device's", device, le.U16(b, 0))
		}
		seen[device] = true
		list = append(list, device)
		if device, err = next(b); err != nil {
			return list, err
		}
	}
	return list, nil
}

// DeviceStack lists the devices that a device is attached to and that are attached to
// it, the top of the stack first. What was read is returned beside the error.
func (m *Machine) DeviceStack(va mem.VA) ([]Device, error) {
	if m.Arch == dump.X86 {
		return nil, fmt.Errorf("device object at %v: 32-bit I/O objects are not decoded", va)
	}
	above, errUp := m.deviceChain(va, maxDeviceStack, func(b []byte) (mem.VA, error) {
		return mem.VA(le.U64(b, deviceAttached)), nil
	})
	below, errDown := m.deviceChain(va, maxDeviceStack, m.attachedTo(va))
	order := make([]mem.VA, 0, len(above)+len(below))
	for i := len(above) - 1; i >= 0; i-- {
		order = append(order, above[i])
	}
	if len(below) > 1 {
		order = append(order, below[1:]...)
	}
	var list []Device
	for _, at := range order {
		d, _ := m.DeviceObject(at) // a driver that is not in the dump has no name
		list = append(list, d)
	}
	return list, firstError(errUp, errDown)
}

// attachedTo is the step of deviceChain down a stack that starts at device.
func (m *Machine) attachedTo(device mem.VA) func(b []byte) (mem.VA, error) {
	return func([]byte) (mem.VA, error) {
		extension, err := mem.ReadVA(m.Memory, device+deviceExtension)
		if err != nil {
			return 0, fmt.Errorf("device object at %v: %w", device, err)
		}
		below, err := mem.ReadVA(m.Memory, extension+extensionAttached)
		if err != nil {
			return 0, fmt.Errorf("extension of the device object at %v: %w", device, err)
		}
		device = below
		return below, nil
	}
}

// DriverObjects lists the drivers in \Driver and \FileSystem. What was read is
// returned beside the errors.
func (m *Machine) DriverObjects() ([]DriverObject, error) {
	var list []DriverObject
	var errs []error
	left := maxAllDevices
	for _, path := range []string{`\Driver`, `\FileSystem`} {
		objects, err := m.Directory(path)
		errs = append(errs, err)
		for _, o := range objects {
			d, err := m.driverObject(o.Address, min(left, maxDevices))
			left -= len(d.Devices)
			if d.Start == 0 && err != nil && !mem.IsMissing(err) {
				continue // \FileSystem holds a directory and devices too
			}
			if d.Name == "" {
				d.Name = path + `\` + o.Name
			}
			errs = append(errs, err)
			list = append(list, d)
		}
	}
	return list, errors.Join(errs...)
}

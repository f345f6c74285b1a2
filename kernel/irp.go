package kernel

import (
	"fmt"
	"strings"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/win"
)

// Layouts of 64-bit I/O objects. They are the same in all 213 public symbol
// tables from 7601 to 22000 (dt nt!_IRP, _IO_STACK_LOCATION, _DEVICE_OBJECT,
// _DRIVER_OBJECT, _DEVOBJ_EXTENSION, _DEVICE_NODE) and documented in wdm.h.
const (
	irpType                = 6 // IO_TYPE_IRP
	irpSize                = 0xd0
	irpCurrentLocation     = 0x43
	irpStackCount          = 0x42
	irpCurrentStack        = 0xb8
	stackLocationSize      = 0x48
	stackLocationPowerType = 0x10 // Parameters.Power.Type
	stackLocationDevice    = 0x28
	deviceType             = 3   // IO_TYPE_DEVICE
	deviceDriver           = 0x8 // DriverObject
	deviceExtension        = 0x138
	extensionNode          = 0x28
	driverStart            = 0x18
	nodeInstancePath       = 0x28
	nodeServiceName        = 0x38
)

// IRP is an I/O request and who holds it.
type IRP struct {
	Address                mem.VA
	Device                 mem.VA // of the current stack location
	Driver                 string // image of the driver whose device it is; "" if not in the dump
	CurrentLocation, Count uint8
	Major, Minor           uint8  // of the current stack location: 0x16, 2 for IRP_MN_SET_POWER
	PowerType              uint32 // of a power request: 0 the system's state, 1 the device's
}

// IRP reads an IRP and follows its current stack location to a driver. What it
// could follow is returned beside the error.
func (m *Machine) IRP(va mem.VA) (IRP, error) {
	r := IRP{Address: va}
	if m.Arch == dump.X86 {
		return r, fmt.Errorf("IRP at %v: 32-bit I/O objects are not decoded", va)
	}
	b, err := mem.Read(m.Memory, va, irpSize)
	if err != nil {
		return r, fmt.Errorf("IRP at %v: %w", va, err)
	}
	if le.U16(b, 0) != irpType {
		return r, fmt.Errorf("IRP at %v: the type field holds 0x%x, not an IRP's", va, le.U16(b, 0))
	}
	r.CurrentLocation, r.Count = b[irpCurrentLocation], b[irpStackCount]
	location := mem.VA(le.U64(b, irpCurrentStack))
	s, err := mem.Read(m.Memory, location, stackLocationSize)
	if err != nil {
		return r, fmt.Errorf("stack location at %v: %w", location, err)
	}
	r.Major, r.Minor, r.PowerType = s[0], s[1], le.U32(s, stackLocationPowerType)
	r.Device = mem.VA(le.U64(s, stackLocationDevice))
	r.Driver, err = m.deviceDriver(r.Device)
	return r, err
}

// The triage data of stop code 0x9F (dt nt!_TRIAGE_9F_POWER and
// _TRIAGE_POP_IRP_DATA in the public symbols of 19041).
const (
	powerTriageSignature = 0x8000
	powerTriageIrpList   = 0x8
	powerIrpIrp          = 0x10
	powerIrpPdo          = 0x18
	maxPowerIRPs         = 4096
)

// PowerIRP is a power request that was under way.
type PowerIRP struct {
	IRP
	PDO mem.VA // the physical device it is for
}

// PowerIRPs lists the power requests under way from the TRIAGE_9F_POWER at va.
// What was read is returned beside the error.
func (m *Machine) PowerIRPs(va mem.VA) ([]PowerIRP, error) {
	b, err := mem.Read(m.Memory, va, powerTriageIrpList+8)
	if err != nil {
		return nil, fmt.Errorf("power triage data: %w", err)
	}
	if le.U16(b, 0) != powerTriageSignature {
		return nil, fmt.Errorf("power triage data at %v: the signature is 0x%x", va, le.U16(b, 0))
	}
	head := mem.VA(le.U64(b, powerTriageIrpList))
	var list []PowerIRP
	seen := map[mem.VA]bool{head: true}
	entry, err := mem.ReadVA(m.Memory, head)
	for err == nil && !seen[entry] && len(list) < maxPowerIRPs {
		seen[entry] = true
		var e []byte
		if e, err = mem.Read(m.Memory, entry, powerIrpPdo+8); err != nil {
			break
		}
		irp, _ := m.IRP(mem.VA(le.U64(e, powerIrpIrp))) // one that is not in the dump has no driver
		list = append(list, PowerIRP{IRP: irp, PDO: mem.VA(le.U64(e, powerIrpPdo))})
		entry = mem.VA(le.U64(e, 0))
	}
	switch {
	case err != nil:
		return list, fmt.Errorf("list of power requests, entry %d: %w", len(list), err)
	case entry != head:
		return list, fmt.Errorf("list of power requests: it does not come back to its head after %d entries", len(list))
	}
	return list, nil
}

// Device is a device object and what it belongs to.
type Device struct {
	Address           mem.VA
	Name              string // in the object manager's namespace: \Device\Video0; "": none
	Object            mem.VA // DRIVER_OBJECT of its driver
	Driver            string // image; "" if not in the dump
	Service, Instance string // of the device node, for a physical device
}

// DeviceObject reads a DEVICE_OBJECT and follows it to its driver's image and,
// where it is a physical device, to its device node.
func (m *Machine) DeviceObject(va mem.VA) (Device, error) {
	d := Device{Address: va}
	var err error
	if d.Driver, err = m.deviceDriver(va); mem.IsMissing(err) && d.Driver == "" {
		return d, err
	}
	d.Object, _ = mem.ReadVA(m.Memory, va+deviceDriver)
	d.Name, _ = m.ObjectPath(va) // most devices have none
	if extension, errExtension := mem.ReadVA(m.Memory, va+deviceExtension); errExtension == nil {
		d.Service, d.Instance = m.deviceNode(extension)
	}
	return d, err
}

// deviceDriver follows a DEVICE_OBJECT to the image of its driver.
func (m *Machine) deviceDriver(va mem.VA) (string, error) {
	b, err := mem.Read(m.Memory, va, deviceDriver+8)
	if err != nil {
		return "", fmt.Errorf("device object at %v: %w", va, err)
	}
	if le.U16(b, 0) != deviceType {
		return "", fmt.Errorf("device object at %v: the type field holds 0x%x, not a device's", va, le.U16(b, 0))
	}
	driver := mem.VA(le.U64(b, deviceDriver))
	start, err := mem.ReadVA(m.Memory, driver+driverStart)
	if err != nil {
		return "", fmt.Errorf("driver object at %v: %w", driver, err)
	}
	if mod, ok := m.ModuleAt(start); ok {
		return mod.Name, nil
	}
	return "", nil
}

// deviceNode reads service and instance path of the device node behind a device
// extension; empty where they are not in the dump.
func (m *Machine) deviceNode(extension mem.VA) (service, instance string) {
	node, err := mem.ReadVA(m.Memory, extension+extensionNode)
	if err != nil || node == 0 {
		return "", ""
	}
	return m.unicodeString(node + nodeServiceName), m.unicodeString(node + nodeInstancePath)
}

// maxUnicodeString is UNICODE_STRING's own limit, bytes.
const maxUnicodeString = 0xfffe

// unicodeString reads the UNICODE_STRING at va; "" if it is not in the dump.
func (m *Machine) unicodeString(va mem.VA) string {
	b, err := mem.Read(m.Memory, va, 16)
	if err != nil {
		return ""
	}
	n := min(int(le.U16(b, 0)), maxUnicodeString)
	text, err := mem.Read(m.Memory, mem.VA(le.U64(b, 8)), n)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(win.UTF16(text))
}

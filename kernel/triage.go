package kernel

import (
	"fmt"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
)

// Triage data of 64-bit kernels: what Windows keeps for whoever looks at a stop
// code. Layouts: dt nt!_TRIAGE_9F_PNP, _TRIAGE_PNP_DEVICE_COMPLETION_REQUEST,
// _TRIAGE_DEVICE_NODE, _TRIAGE_POP_FX_DEVICE (the same from 14393 to 22000:
// ntdiff/headers), _DPC_WATCHDOG_GLOBAL_TRIAGE_BLOCK (ntddk.h).
const (
	pnpTriageSignature = 0x8001
	pnpTriageQueue     = 0x8
	requestNode        = 0x10
	nodeDevice         = 0x20
	nodePendingIRP     = 0x48
	fxIRP              = 0x10
	fxNode             = 0x30
	fxSize             = 0x38
	maxPnPRequests     = 256

	dpcTriageSignature = 0xaebecede
	dpcTriageSize      = 0x10
	maxDPCSamples      = 8192
)

// DeviceNode is a device in the tree of Plug and Play.
type DeviceNode struct {
	Address, Device   mem.VA // of the node; of its physical device object
	Service, Instance string
	PendingIRP        mem.VA
	Driver            string // image of the driver that has the pending request; "" if not known
}

// DeviceNode reads a device node.
func (m *Machine) DeviceNode(va mem.VA) (DeviceNode, error) {
	n := DeviceNode{Address: va}
	if m.Arch == dump.X86 {
		return n, fmt.Errorf("device node at %v: 32-bit I/O objects are not decoded", va)
	}
	b, err := mem.Read(m.Memory, va, nodePendingIRP+8)
	if err != nil {
		return n, fmt.Errorf("device node at %v: %w", va, err)
	}
	n.Device, n.PendingIRP = mem.VA(le.U64(b, nodeDevice)), mem.VA(le.U64(b, nodePendingIRP))
	n.Service, n.Instance = m.unicodeString(va+nodeServiceName), m.unicodeString(va+nodeInstancePath)
	if n.PendingIRP != 0 {
		irp, _ := m.IRP(n.PendingIRP) // one that is not in the dump has no driver
		n.Driver = irp.Driver
	}
	return n, nil
}

// PnPRequests lists the devices whose Plug and Play requests were under way, from
// the TRIAGE_9F_PNP at va. What was read is returned beside the error.
func (m *Machine) PnPRequests(va mem.VA) ([]DeviceNode, error) {
	if m.Arch == dump.X86 {
		return nil, fmt.Errorf("plug and play triage data: 32-bit I/O objects are not decoded")
	}
	b, err := mem.Read(m.Memory, va, pnpTriageQueue+8)
	if err != nil {
		return nil, fmt.Errorf("plug and play triage data: %w", err)
	}
	if le.U16(b, 0) != pnpTriageSignature {
		return nil, fmt.Errorf("plug and play triage data at %v: the signature is 0x%x", va, le.U16(b, 0))
	}
	head := mem.VA(le.U64(b, pnpTriageQueue)) // its queue begins with the list of what was dispatched
	entries, err := m.ring(m.Memory, head, maxPnPRequests)
	if err != nil {
		err = fmt.Errorf("plug and play requests: %w", err)
	}
	var list []DeviceNode
	for _, entry := range entries {
		at, errEntry := mem.ReadVA(m.Memory, entry+requestNode)
		if errEntry != nil {
			return list, firstError(err, fmt.Errorf("plug and play requests, entry %d: %w", len(list), errEntry))
		}
		n, errNode := m.DeviceNode(at)
		err = firstError(err, errNode)
		list = append(list, n)
	}
	return list, err
}

// PowerFxDevice reads what a POP_FX_DEVICE, a device of the power framework, says of
// its device, and the driver that has its power request.
func (m *Machine) PowerFxDevice(va mem.VA) (DeviceNode, error) {
	if m.Arch == dump.X86 {
		return DeviceNode{}, fmt.Errorf("device of the power framework at %v: 32-bit I/O objects are not decoded", va)
	}
	b, err := mem.Read(m.Memory, va, fxSize)
	if err != nil {
		return DeviceNode{}, fmt.Errorf("device of the power framework at %v: %w", va, err)
	}
	n, err := m.DeviceNode(mem.VA(le.U64(b, fxNode)))
	if at := mem.VA(le.U64(b, fxIRP)); at != 0 {
		irp, _ := m.IRP(at)
		n.PendingIRP, n.Driver = at, irp.Driver
	}
	return n, err
}

// DPCSamples are the code addresses that the DPC watchdog noted down on the
// processor that crashed while time ran out, from the DPC_WATCHDOG_GLOBAL_TRIAGE_BLOCK
// at va: it says where the KPRCB keeps the pointer to them (KPRCB.DpcWatchdogProfile).
func (m *Machine) DPCSamples(va mem.VA) ([]mem.VA, error) {
	b, err := mem.Read(m.Memory, va, dpcTriageSize)
	if err != nil {
		return nil, fmt.Errorf("triage block of the DPC watchdog: %w", err)
	}
	if le.U32(b, 0) != dpcTriageSignature || m.Arch.PointerSize() != 8 {
		return nil, fmt.Errorf("triage block of the DPC watchdog at %v: the signature is 0x%x", va, le.U32(b, 0))
	}
	prcb, err := m.crashedBlock()
	if err != nil {
		return nil, err
	}
	at := prcb.pointer(int(le.U16(b, 8)))
	if at == 0 {
		return nil, fmt.Errorf("samples of the DPC watchdog: none are kept")
	}
	size := min(int(le.U32(b, 0xc)), maxDPCSamples*8) &^ 7
	samples := make([]byte, size)
	n, err := m.Memory.ReadAt(samples, at)
	var list []mem.VA
	for i := 0; i+8 <= n; i += 8 {
		if va := mem.VA(le.U64(samples, i)); va != 0 {
			list = append(list, va)
		}
	}
	if err != nil {
		err = fmt.Errorf("samples of the DPC watchdog at %v: %w", at, err)
	}
	return list, err
}

// crashedBlock is the KPRCB of the processor that wrote the dump.
func (m *Machine) crashedBlock() (object, error) {
	if !m.whole() {
		return m.object(m.Blocks.PRCB), nil
	}
	blocks, err := m.processorBlocks()
	for _, b := range blocks {
		if b.at == m.processorAt {
			return b.object, nil
		}
	}
	return object{}, firstError(err, fmt.Errorf("the block of the processor that crashed was not found"))
}

// ExitStatus is the status that a process or a thread ends with, before it is marked
// as ended: an EPROCESS or ETHREAD has it from the call on that ends it.
func (m *Machine) ExitStatus(object mem.VA, thread bool) (uint32, bool) {
	structure := "_EPROCESS"
	if thread {
		structure = "_ETHREAD"
	}
	at := m.Field(structure, "ExitStatus")
	if at < 0 || object == 0 {
		return 0, false
	}
	v, err := mem.ReadU32(m.Memory, object+mem.VA(at))
	return v, err == nil
}

// Text reads text of one byte a character that ends in a zero, at most so many bytes.
func (m *Machine) Text(va mem.VA, most int) string {
	b := make([]byte, most)
	n, _ := m.Memory.ReadAt(b, va)
	for i, c := range b[:n] {
		if c == 0 {
			return string(b[:i])
		}
	}
	return ""
}

// UnicodeString reads the UNICODE_STRING at va; "" if it is not in the dump. Of a
// 32-bit machine none is read.
func (m *Machine) UnicodeString(va mem.VA) string {
	if m.Arch == dump.X86 {
		return ""
	}
	return m.unicodeString(va)
}

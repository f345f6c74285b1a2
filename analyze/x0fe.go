package analyze

import (
	"fmt"

	"bugcheck/mem"
	"bugcheck/report"
)

// BUGCODE_USB_DRIVER (0xFE): P1 the kind. BUGCODE_USB3_DRIVER (0x144, most often a
// live dump): P1 the kind: below 0x1000 mistakes of client drivers, from 0x1000 on the
// xHCI controller, from 0x3000 on hubs and devices.

var objectsFE = map[uint64]objectAt{2: {2, objectRequest, false}, 4: {2, objectRequest, false}}

// objects144: the client driver's device object, P4 of most of them, is there to say who
// used the USB drivers wrongly; 0x804 has it in P3, 0x2 the start device in P2.
var objects144 = map[uint64]objectAt{
	0x1: {4, objectDevice, true}, 0x2: {2, objectPDO, false}, 0x3: {4, objectDevice, true},
	0x800: {4, objectDevice, true}, 0x801: {4, objectDevice, true}, 0x802: {4, objectDevice, true}, 0x803: {4, objectDevice, true},
	0x804: {3, objectDevice, true}, 0x805: {4, objectDevice, true}, 0x806: {4, objectDevice, true}, 0x807: {4, objectDevice, true},
}

const (
	usbController = 5
	usbDamaged    = 6
	usbMessage    = 7
	usbHub        = 8
)

func collectFE(c *collection) {
	p := c.facts.Parameters
	c.object(objectsFE[p[0]])
	if p[0] == usbMessage {
		if text := c.m.Text(mem.VA(p[2]), maxMessage); isPrintable(text) {
			c.facts.Message = text
		}
	}
}

func judgeFE(j *judgement) {
	p := j.f.Parameters
	j.meaningOf(1)
	j.judgeObject(objectsFE[p[0]])
	switch p[0] {
	case usbController:
		j.evidence(report.Recorded, parameter(3), report.T("The controller is %s.", fmt.Sprintf("PCI VEN_%04X&DEV_%04X", uint16(p[2]), uint16(p[2]>>16))))
		j.likely(report.CauseHardware)
	case usbDamaged:
		j.likely(report.CauseMemoryCorruption)
	case usbMessage:
		if j.f.Message != "" {
			j.evidence(report.Recorded, parameter(3), report.T("Windows wrote beside it: %s", j.f.Message))
		}
	}
	j.suggestKinds(report.T("USB drivers from outside Windows can do this; nothing else points there"), "usb")
	j.detector()
}

func collect144(c *collection) { c.object(objects144[c.facts.Parameters[0]]) }

// Ranges of the kinds of 0x144.
const (
	usb3Controller = 0x1000
	usb3Hub        = 0x3000
)

// controllerFault are the kinds by which the controller itself says that it failed or
// is gone.
var controllerFault = map[uint64]bool{0x1001: true, 0x1002: true, 0x100d: true}

func judge144(j *judgement) {
	kind := j.f.Parameters[0]
	j.meaningOf(1)
	j.judgeObject(objects144[kind])
	switch {
	case kind == 0x2:
		j.likely(report.CauseHardware)
	case controllerFault[kind]:
		j.evidence(report.Derived, parameter(1), report.T("That is what the controller says of itself, not a driver: controller, its firmware, power, or the bus to it."))
		j.noticed(report.CauseHardware, report.Medium)
	case kind == 0x100c || kind == 0x100f:
		j.noticed(report.CauseFirmware, report.Medium)
	case kind >= usb3Controller && kind < usb3Hub:
		j.evidence(report.Derived, parameter(1), report.T("The controller did not do what the driver had asked for: its firmware, a device that misbehaves or bad power are more likely than the driver of Windows."))
		j.likely(report.CauseHardware)
	case kind >= usb3Hub:
		j.evidence(report.Derived, parameter(1), report.T("A hub or a device did not behave: look at the device, its cable and its port first."))
		j.likely(report.CauseHardware)
	}
	j.suggestKinds(report.T("USB drivers from outside Windows can do this; nothing else points there"), "usb")
	j.detector()
}

func happenedUSB(f *Facts) report.Text {
	kind := f.Parameters[0]
	switch {
	case f.Code == 0x144 && kind >= usb3Hub:
		return report.T("a USB hub or device did not behave")
	case f.Code == 0x144 && kind >= usb3Controller:
		return report.T("a USB controller failed or did not do what was asked of it")
	case f.Code == 0x144 || kind == 2 || kind == 4:
		return report.T("a driver used the USB drivers of Windows wrongly")
	}
	return report.T("the USB drivers of Windows met something that they cannot go on from")
}

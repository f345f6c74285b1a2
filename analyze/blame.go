package analyze

import (
	"path"
	"slices"
	"sort"
	"strings"

	"bugcheck/report"
	"bugcheck/win"
)

// plumbing are the kernel functions of traps and bug checks: they stand on
// every crash's stack and are never to blame. Patterns as in path.Match. From
// the documentation of !analyze's frame rules and the logs behind
// docs/agreement.md.
var plumbing = []string{
	"DbgBreakPointWithStatus", "RtlpBreakWithStatusInstruction", "KiBugCheckDebugBreak", "KeBugCheck", "KeBugCheck2",
	"KeBugCheckEx", "KiBugCheckDispatch", "KiPageFault*", "KiTrap*", "MiSystemFault", "MmAccessFault",
	"KiDispatchException", "KiExceptionDispatch", "CommonDispatchException", "KiExceptionExit",
	"KiRaiseSecurityCheckFailure", "KiGeneralProtectionFault*", "KiInvalidOpcodeFault*", "KiBreakpointTrap*",
	"KiDebugServiceTrap*", "KiDivideErrorFault*", "KiStackFault*", "KiSegmentNotPresentFault*",
	"KiAlignmentFault*", "KiSystemServiceHandler", "RtlpExecuteHandlerForException", "RtlDispatchException",
	"RtlpExceptionHandler", "__C_specific_handler", "__GSHandlerCheck*", "KiUpdateRunTime", "KeUpdateRunTime",
	"KeClockInterruptNotify", "KiCallInterruptServiceRoutine", "KiInterrupt*Dispatch*", "KiInterruptDispatch*",
	"?? ::FNODOBFM::*", "VerifierBugCheckIfAppropriate", "ViFilter*", "VfBugCheckNoStackUsage",
	"PopGracefulShutdown",
}

// machinery are the functions of stopping Windows: what stands above everything.
var machinery = []string{
	"DbgBreakPointWithStatus", "RtlpBreakWithStatusInstruction", "KiBugCheckDebugBreak", "KeBugCheck", "KeBugCheck2",
	"KeBugCheckEx", "KiBugCheckDispatch",
}

// weak are kernel functions that give way to any frame outside the kernel, but
// go before other frames of the kernel: the fast-fail and watchdog entries.
var weak = []string{"KiFastFailDispatch", "KeAccumulateTicks", "KiDoubleFaultAbort", "KiTrap0E"}

// soft are modules of Windows that carry other drivers' calls: a frame in them
// is passed over when a module that is not soft stands deeper. In 65 published
// cases nt was passed over 40 times, ndis, FLTMGR, Ntfs, tcpip, watchdog and
// VerifierExt too; dxgkrnl and win32k were blamed over drivers deeper, so they
// are not here; nor are the USB 3 stack, HID and WUDFRd, which published buckets
// name by the dozen though they run on behalf of others. The frameworks and port
// drivers are here by the same reason: they call what their clients hand them.
var soft = map[string]bool{
	"nt": true, "hal": true, "ndis": true, "tcpip": true, "netio": true, "fltmgr": true, "ntfs": true, "refs": true,
	"wdf01000": true, "storport": true, "classpnp": true, "disk": true, "partmgr": true, "volmgr": true,
	"watchdog": true, "verifierext": true, "ks": true, "portcls": true, "pshed": true, "usbport": true,
	"acpi": true, "pci": true, "winhvr": true, "vid": true,
}

// userModeEntry are the kernel functions that user mode enters by: frames below
// them belong to the program, which cannot crash Windows by itself.
var userModeEntry = map[string]bool{
	"KiSystemServiceCopyEnd": true, "KiSystemServicePostCall": true, "KiFastCallEntry": true,
	"KiSystemServiceExit": true, "KiSystemServiceExitPico": true, "KiFastCallEntryCommon": true,
	"KiSystemServiceGdiTebAccess": true, "KiSystemService": true,
}

func matches(patterns []string, symbol string) bool {
	for _, p := range patterns {
		if ok, _ := path.Match(p, symbol); ok {
			return true
		}
	}
	return false
}

// certain are the frames that a verdict may rest on: not scanned, not below the
// entry from user mode, and not the header's own, which is KeBugCheckEx or its
// helper unless the context is the fault's.
func certain(f *Facts) []Frame {
	var frames []Frame
	for i, frame := range f.Frames {
		if frame.Trust == report.TrustScan || userModeEntry[frame.Symbol] {
			break
		}
		if i == 0 && frame.Module == "nt" && frame.Symbol == "" && !f.Context.Fault {
			continue
		}
		if i == 0 && inData(f) {
			continue
		}
		isPlumbing := frame.Module == "nt" && matches(plumbing, frame.Symbol)
		if frame.Module != "" && !isPlumbing {
			frames = append(frames, frame)
		}
	}
	return frames
}

// inData reports that the first frame lies among a driver's data: they do not run, so its
// caller is to be asked.
func inData(f *Facts) bool { return f.Landing != nil && f.Landing.Kind == LandingData }

// isGuest reports the code that runs the processor of a virtual machine: an interrupt
// that met it met the guest (1 published case). Other functions of winhvr are named (1
// published bucket).
func isGuest(f Frame) bool {
	return strings.EqualFold(f.Module, "vid") || strings.EqualFold(f.Module, "winhvr") && strings.HasPrefix(f.Symbol, "WinHvRunVp")
}

// softBelow is the first frame outside the kernel: the watchdog of 0x133 gives way to it
// too, soft or not (3 published buckets: of ndis, ACPI and winhvr).
func softBelow(frames []Frame) (Frame, bool) {
	for _, frame := range frames {
		if frame.Module != "nt" && !isHAL(frame) && !isGuest(frame) {
			return frame, true
		}
	}
	return Frame{}, false
}

// blamed picks the frame to blame: the first in a module that is not soft; else a weak
// one, or what is below the watchdog; else the first.
func blamed(f *Facts) (Frame, bool) {
	frames := certain(f)
	for _, frame := range frames {
		if !soft[strings.ToLower(frame.Module)] {
			return frame, true
		}
	}
	for _, frame := range f.Frames {
		if frame.Trust != report.TrustScan && frame.Module == "nt" && matches(weak, frame.Symbol) {
			if below, ok := softBelow(frames); ok && frame.Symbol == "KeAccumulateTicks" {
				return below, true
			}
			return frame, true
		}
	}
	if len(frames) == 0 {
		return Frame{}, false
	}
	for _, frame := range frames {
		if !isHAL(frame) {
			return frame, true
		}
	}
	return frames[0], true
}

// isHAL reports code of the hardware abstraction layer, part of the kernel's image
// since Windows 10 2004: the debugger passes over it for the kernel's own (2
// published cases, stop code 0x5C).
func isHAL(f Frame) bool {
	return strings.EqualFold(f.Module, "hal") || f.Module == "nt" && matches([]string{"Hal[A-Zp]*"}, f.Symbol)
}

// lastResort is the frame that the debugger names where the stack holds nothing but
// the kernel's trap handling and addresses outside every module: the first below
// the functions that stop Windows (2 published cases, 1 hash checked).
func lastResort(f *Facts) (Frame, bool) {
	for _, frame := range f.Frames {
		if frame.Trust == report.TrustScan {
			break
		}
		if frame.Module == "nt" && frame.Symbol != "" && !matches(machinery, frame.Symbol) {
			return frame, true
		}
	}
	return Frame{}, false
}

// onVerifierPath reports that driver verifier checks the requests between drivers:
// only then do they go through IovCallDriver (5 published cases).
func onVerifierPath(f *Facts) bool {
	return slices.ContainsFunc(certain(f), func(fr Frame) bool { return fr.Module == "nt" && fr.Symbol == "IovCallDriver" })
}

// isMemoryManager reports a function of the kernel's memory manager: the
// debugger calls a fault there memory_corruption.
func isMemoryManager(symbol string) bool {
	return len(symbol) > 2 && (strings.HasPrefix(symbol, "Mi") || strings.HasPrefix(symbol, "Mm")) &&
		symbol[2] >= 'A' && symbol[2] <= 'Z'
}

// suspected is a driver that the stack speaks of.
type suspected struct {
	Image, Module string
	count         int  // addresses on the stack
	certain       bool // found by registers or unwinding, not by a scan
	first         int
}

// suspects lists the third-party drivers on the stack, those with certain
// frames first, then by where they first stand. User-mode frames do not count.
func suspects(f *Facts) []suspected {
	byImage := map[string]*suspected{}
	loaded := loadedImages(f)
	for i, frame := range f.Frames {
		if userModeEntry[frame.Symbol] {
			break
		}
		if i == 0 && inData(f) || !thirdParty(frame.Image) || len(loaded) > 0 && !loaded[frame.Image] {
			continue
		}
		s := byImage[frame.Image]
		if s == nil {
			s = &suspected{Image: frame.Image, Module: frame.Module, first: i}
			byImage[frame.Image] = s
		}
		s.count++
		s.certain = s.certain || frame.Trust != report.TrustScan
	}
	list := make([]suspected, 0, len(byImage))
	for _, s := range byImage {
		list = append(list, *s)
	}
	sort.Slice(list, func(i, j int) bool {
		if list[i].certain != list[j].certain {
			return list[i].certain
		}
		return list[i].first < list[j].first
	})
	return list
}

func loadedImages(f *Facts) map[string]bool {
	m := make(map[string]bool, len(f.Images))
	for _, i := range f.Images {
		m[i.Image] = true
	}
	return m
}

// clientKinds are the kinds of drivers (data/drivers.tsv) that work through a
// soft module: where such a module fails, one of them may have handed it the bad
// data.
var clientKinds = map[string][]string{
	"ks": {"audio", "input"}, "portcls": {"audio"},
	"ndis": {"network", "vpn", "filter"}, "tcpip": {"network", "vpn", "antivirus", "filter"},
	"netio": {"network", "vpn", "antivirus", "filter"}, "fltmgr": {"antivirus", "filter", "backup"},
	"ntfs": {"antivirus", "filter", "backup"}, "storport": {"storage"}, "classpnp": {"storage"},
	"usbport": {"usb"}, "ucx01000": {"usb"}, "watchdog": {"display"},
}

// isDumpCopy reports a copy of a storage driver that Windows keeps for writing
// dumps or hibernating: it does not run before the crash.
func isDumpCopy(image string) bool {
	return strings.HasPrefix(image, "dump_") || strings.HasPrefix(image, "hiber_")
}

// suggestClients names the loaded third-party drivers of the kinds that work
// through the module of f.
func (j *judgement) suggestClients(f Frame) {
	kinds := clientKinds[strings.ToLower(f.Module)]
	for _, i := range j.f.Images {
		d, ok := win.English.Driver(i.Image)
		if !ok || d.Microsoft() || !slices.Contains(kinds, d.Kind) || isDumpCopy(i.Image) {
			continue
		}
		if len(j.v.Alternatives) < maxAlternatives {
			j.suggest(i.Image, report.T("drivers of this kind work through %s; nothing else points there", f.Image))
		}
	}
}

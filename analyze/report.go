package analyze

import (
	"fmt"
	"strings"

	"bugcheck/dump"
	"bugcheck/kernel"
	"bugcheck/report"
	"bugcheck/win"
)

// Report analyses a machine: facts, verdict, and all that the report shows
// beside them. file is the name to show; version is the program's.
func Report(m *kernel.Machine, file, version string) *report.Report {
	return ReportAgainst(m, nil, file, version)
}

// ReportAgainst is Report, with code compared with that of another dump of the same build
// where no image is at hand. reference may be nil.
func ReportAgainst(m, reference *kernel.Machine, file, version string) *report.Report {
	c := collect(m, reference)
	c.checkReference()
	r := &report.Report{
		Schema:    report.Schema,
		Tool:      report.Tool{Name: "bugcheck", Version: version},
		Dump:      dumpOf(m, file),
		System:    system(m),
		Bugcheck:  bugcheck(&c.facts),
		Exception: exception(&c.facts),
		IRQL:      c.facts.IRQL,
		Registers: c.registers,
		Stack:     shownFrames(c.frames),
		Verdict:   Judge(c.facts),
		Notes:     append(append([]report.Note(nil), m.Notes...), c.notes...),
	}
	if len(c.registers) > 0 {
		r.Context = &report.Context{Kind: c.facts.Context.Kind, Address: report.Hex(c.facts.Context.Address)}
	}
	if m.Truncated {
		r.Verdict.NextSteps = append([]report.Text{report.T("The dump is cut off: copy it again, whole, and ask once more; what is said here rests on what is left of it.")}, r.Verdict.NextSteps...)
	}
	current(m, r)
	modules(m, r)
	pressure(m, r)
	r.Symbols = symbolState(m, r.Stack, &r.Verdict)
	if m.User != nil {
		userReport(m, c, r)
	}
	return r
}

// dumpOf describes the file.
func dumpOf(m *kernel.Machine, file string) report.Dump {
	d := report.Dump{
		File: file, Kind: string(m.Kind), Architecture: string(m.Arch), SizeBytes: m.Size,
		Truncated: m.Truncated, Comment: m.Header.Comment,
	}
	if a := m.Header.Attributes; a != nil {
		attributes := report.Hex32(*a)
		d.Attributes = &attributes
	}
	return d
}

// shownScans is how many scanned frames a report shows: behind the first few
// dozen they say nothing of the crash.
const shownScans = 64

func shownFrames(frames []report.Frame) []report.Frame {
	scans := 0
	for i, f := range frames {
		if f.Trust != report.TrustScan {
			continue
		}
		if scans++; scans > shownScans {
			return frames[:i]
		}
	}
	return frames
}

func system(m *kernel.Machine) *report.System {
	h := m.Header
	bios, cpu, prcb := m.SMBIOS(), m.File.Processor(), m.Processor()
	s := &report.System{
		Version: m.Version(), Name: m.ReleaseName(), Build: h.Build, Lab: m.BuildLab(),
		Product: win.ProductWord(h.ProductType), Processors: h.Processors,
		Processor: strings.Join(strings.Fields(cpu.Name), " "), ProcessorMHz: prcb.MHz, BootID: h.BootID,
		Manufacturer: optional(bios.Manufacturer), Model: optional(bios.Product),
		Bios:           optional(strings.TrimSpace(strings.Join([]string{bios.BIOSVendor, bios.BIOSVersion, bios.BIOSDate}, " "))),
		Baseboard:      strings.TrimSpace(bios.BoardManufacturer + " " + bios.BoardProduct),
		VirtualMachine: optional(virtualMachine(bios)),
	}
	if prcb.Vendor != "" {
		s.ProcessorID = fmt.Sprintf("%s family %d model %d stepping %d", prcb.Vendor, prcb.Family, prcb.Model, prcb.Stepping)
	}
	s.ReleaseBuild, _ = m.ReleaseBuild()
	if !h.Time.IsZero() {
		s.CrashedAt = &h.Time
	}
	if h.Uptime > 0 {
		seconds := int64(h.Uptime.Seconds())
		s.UptimeSeconds = &seconds
	}
	return s
}

// virtualMachine names the hypervisor whose firmware tables these are: the
// strings that each puts there by default.
func virtualMachine(b dump.SMBIOS) string {
	text := strings.ToLower(b.Manufacturer + " " + b.Product + " " + b.BIOSVendor)
	for _, v := range []struct{ mark, name string }{
		{"vmware", "VMware"}, {"virtualbox", "VirtualBox"}, {"innotek", "VirtualBox"}, {"amazon ec2", "Amazon EC2"},
		{"google compute", "Google Compute Engine"}, {"xen", "Xen"}, {"qemu", "QEMU"}, {"kvm", "KVM"},
		{"parallels", "Parallels"}, {"bochs", "Bochs"}, {"nutanix", "Nutanix AHV"}, {"openstack", "OpenStack"},
		{"microsoft corporation virtual machine", "Hyper-V"},
	} {
		if strings.Contains(text, v.mark) {
			return v.name
		}
	}
	return ""
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func bugcheck(f *Facts) *report.Bugcheck {
	b := &report.Bugcheck{Code: report.Hex32(f.RawCode), Name: f.Name}
	code, ok := win.English.Code(f.Code)
	if ok && !isBootCodeLater(f) {
		b.Meaning = report.T(code.Meaning)
	}
	if f.RawCode != f.Code && ok {
		b.Name += "_M"
	}
	others, hasOthers := win.English.Value(f.Code, 1, f.Parameters[0])
	for i, v := range f.Parameters {
		p := report.Parameter{Value: report.Hex(v)}
		if ok {
			p.Meaning = report.T(code.Parameters[i])
		}
		if hasOthers && others.Others[i] != "" {
			p.Meaning = report.T(others.Others[i])
		}
		p.Note = parameterNote(f, i)
		b.Parameters = append(b.Parameters, p)
	}
	return b
}

// parameterNote says what the value of a parameter is, beyond its meaning.
func parameterNote(f *Facts, i int) report.Text {
	if v, ok := win.English.Value(f.Code, i+1, f.Parameters[i]); ok {
		return report.T(v.Meaning)
	}
	if name := win.StatusName(uint32(f.Parameters[i])); name != "" && uint32(f.Parameters[i])>>30 == 3 && isStatus(f.Parameters[i]) {
		return report.T("%s", name)
	}
	switch p := f.Places[i]; p.Kind {
	case PlaceModule, PlaceUnloaded, PlaceStack:
		return p.Text()
	}
	return report.Text{}
}

// isStatus reports that a 64-bit parameter is a 32-bit value, sign-extended or not.
func isStatus(v uint64) bool { return v>>32 == 0 || v>>32 == 0xffffffff }

func exception(f *Facts) *report.Exception {
	x := f.Exception
	if x == nil {
		return nil
	}
	e := &report.Exception{Code: report.Hex32(x.Code), Name: win.StatusName(x.Code), Address: report.Hex(x.Address), Access: x.Access}
	if x.Target != nil && x.Access != "" {
		target := report.Hex(*x.Target)
		e.Target = &target
	}
	return e
}

func current(m *kernel.Machine, r *report.Report) {
	if p, ok := m.Process(); ok {
		r.Process = &report.Process{Name: p.Name, PID: p.PID, Trust: p.Trust}
		if p.Trust == report.Guessed {
			r.Notes = append(r.Notes, report.Note{Where: "process block", Text: report.T("This kernel's layout is not in the table; the process name was found where similar kernels keep it.")})
		}
	} else if m.Physical != nil {
		r.Notes = append(r.Notes, report.Note{Where: "process block", Text: report.T("Which process was running is not known.")})
	}
	if t, ok := m.Thread(); ok {
		r.Thread = &report.Thread{Address: report.Hex(t.Address), ID: t.ID}
	}
	r.Processor = m.Processor().Number
}

// pressureShare is the share of the commit limit, percent, from which on lack of
// memory is worth a note.
const pressureShare = 95

// pressure notes a machine that had run out of memory to promise.
func pressure(m *kernel.Machine, r *report.Report) {
	f := m.Blocks.Memory
	if f.Known && f.Committed <= f.CommitLimit && f.Committed*100 >= f.CommitLimit*pressureShare {
		r.Notes = append(r.Notes, report.Note{Where: "memory", Text: report.T("The commit charge was at its limit: %d of %d MiB were promised. A machine in that state fails in many places.", f.Committed>>8, f.CommitLimit>>8)})
	}
}

func modules(m *kernel.Machine, r *report.Report) {
	for i, mod := range m.Modules {
		if mod.User { // the program's own
			continue
		}
		out := report.Module{
			Image: mod.Name, Module: mod.Module, Path: mod.Path, Base: report.Hex(mod.Base), Size: mod.Size,
			Timestamp: report.Hex32(mod.Timestamp), Version: m.VersionOf(i), Symbols: symbolsWord(m.SymbolsOf(mod.Name)),
		}
		if o := owner(mod.Name); o != "" {
			third := o != "microsoft"
			out.ThirdParty = &third
		}
		r.Modules = append(r.Modules, out)
	}
	for _, u := range m.Unloaded {
		r.Unloaded = append(r.Unloaded, report.UnloadedModule{Image: u.Name, Base: report.Hex(u.Start), Size: uint64(u.End - u.Start)})
	}
	for _, t := range m.Tagged {
		r.Tagged = append(r.Tagged, report.TaggedData{GUID: t.GUID.String(), Name: t.Name(), SizeBytes: uint32(len(t.Data))})
	}
}

package windbglog

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	header    = regexp.MustCompile(`^(?:[Ss]top ?code: +)?([A-Z][A-Z0-9_]{3,}) \((?:0x)?([0-9a-fA-F]{1,8})\)$`)
	argument  = regexp.MustCompile("\\bArg([1-4]) *: *(?:0x)?([0-9a-fA-F`]{1,17})\\b")
	parameter = regexp.MustCompile("\\bBUGCHECK_P([1-4]): *(?:0x)?([0-9a-fA-F`]{1,17})\\b")
	short     = regexp.MustCompile("^BugCheck ([0-9A-F]{1,8}), \\{([0-9a-f`, ]*)\\}")
	fatal     = regexp.MustCompile(`^\*\*\* Fatal System Error: 0x([0-9a-fA-F]{1,8})`)
	dotCode   = regexp.MustCompile(`^(?:Bugcheck code|BugCheck|BUG ?CHECK:?|Bug ?check:?) (?:0x)?([0-9a-fA-F]{1,8})(?: [-–—:]? ?\(?[A-Z][A-Z0-9_]{5,}\)?)?$`)
	dotArgs   = regexp.MustCompile("^Arguments((?: [0-9a-f`]{8,17}){4})$")
	fatalArgs = regexp.MustCompile("^\\(((?:0x[0-9a-fA-F`]{1,17},?){4})\\)")
	field     = regexp.MustCompile(`^([A-Z][A-Z0-9_]{2,})(?: \([a-z ]+\))? *: *(.*)$`)
	keyLine   = regexp.MustCompile(`^Key  ?: ([\w.]+)$`)
	keyValue  = regexp.MustCompile(`^((?:Failure|AV|WER\.OS|Bugcheck\.Code)\.[\w.]+|Failure [Bb]ucket) *: +(\S.*)$`) // both on one line, by hand
	stackHead = regexp.MustCompile(`^(?:#+ )?(?i:stack trace|call stack):?$`)
	valueLine = regexp.MustCompile(`^Value: (.*)$`)
	attempt   = regexp.MustCompile(`^Attempt to (read|write|execute) `)
	exception = regexp.MustCompile(`^ExceptionCode: ([0-9a-f]{8})`)
	detail    = regexp.MustCompile("^Parameter\\[2\\]: ([0-9a-f`]{8,17})\\b")
	status    = regexp.MustCompile(`0x([0-9a-fA-F]{8})\b`)
	kernel    = regexp.MustCompile(`^Windows .*Kernel Version (\d{4,5})\b.* Free (x64|ARM 64-bit|x86 compatible)`)
	uptime    = regexp.MustCompile(`^System Uptime: (\d{1,4}) days? (\d{1,2}):(\d{2}):(\d{2})`)
	session   = regexp.MustCompile(`^Debug session time: \w{3} (\w{3}) +(\d{1,2} \d{2}:\d{2}:\d{2})\.\d+ (\d{4}) \(UTC ([+-]) (\d{1,2}:\d{2})\)`)
	product   = regexp.MustCompile(`^Product: (WinNt|LanManNt|Server)\b`)
	caused    = regexp.MustCompile(`^Probably caused by : *(\S+)(?: \( *(\S+) *\))?`)
	named     = regexp.MustCompile(`^([\w.]+)(?:!(.+?))?(?:\+(?:0x)?([0-9a-f]+))?:?$`)
	disasm    = regexp.MustCompile("^([0-9a-f`]{8,17}) (?:[0-9a-f]{2,32}|\\?\\?) ")
	loaded    = regexp.MustCompile("^([0-9a-f`]{8,17}) +([0-9a-f`]{8,17}) +([\\w.]+)(?: |$)")
	build     = regexp.MustCompile(`\b(\d{4,5})\.\d+\.\w+fre\.`)
)

// stackBegins: a second stack behind a failure bucket is another log's.
func (p *parser) stackBegins() {
	if len(p.log.Frames) > 0 && p.log.Said.Bucket != "" {
		p.start()
	}
	p.stack = len(p.log.Frames) == 0
}

// line takes the next line of the text.
func (p *parser) line(line string) {
	if p.begins(line) || p.values(line) || p.codes(line) || p.machine(line) || p.warning(line) {
		return
	}
	if m := field.FindStringSubmatch(line); m != nil {
		p.stack, p.unloaded = false, false
		p.field(m[1], strings.TrimSpace(m[2]))
		return
	}
	switch {
	case strings.HasPrefix(line, "Followup:"):
		p.stack, p.followed = false, true
	case stackHead.MatchString(line):
		p.stack = len(p.log.Frames) == 0
	case p.stack:
		p.stackLine(line)
	default:
		p.other(line)
	}
}

// begins handles the lines that only the start of a log has.
func (p *parser) begins(line string) bool {
	switch {
	case strings.Contains(line, "Bugcheck Analysis"):
		if len(p.log.Frames) > 0 || p.log.Said.Bucket != "" {
			p.start()
		}
		p.marks++
		return true
	case strings.HasPrefix(line, "Loading Dump File ["), strings.HasPrefix(line, "Microsoft (R) Windows Debugger"):
		p.start()
		p.marks++
		return true
	}
	return false
}

// codes handles the lines that hold stop code and parameters.
func (p *parser) codes(line string) bool {
	if p.fatal {
		p.fatal = false
		if m := fatalArgs.FindStringSubmatch(line); m != nil {
			p.list(strings.Split(m[1], ","))
			return true
		}
	}
	if m := header.FindStringSubmatch(line); m != nil {
		if p.followed && !p.isShort() {
			p.start()
		}
		p.followed = false
		p.code(uint32(hex(m[2])), m[1])
		return true
	}
	if m := short.FindStringSubmatch(line); m != nil {
		if p.followed {
			p.start()
		}
		p.code(uint32(hex(m[1])), "")
		p.list(strings.Split(m[2], ","))
		return true
	}
	if m := dotCode.FindStringSubmatch(line); m != nil && p.log.Code == 0 { // .bugcheck, and people's own headings
		p.code(uint32(hex(m[1])), "")
		return true
	}
	if m := dotArgs.FindStringSubmatch(line); m != nil {
		p.list(strings.Fields(m[1]))
		return true
	}
	if m := fatal.FindStringSubmatch(line); m != nil {
		p.code(uint32(hex(m[1])), "")
		p.fatal = true
		return true
	}
	found := false
	for _, r := range []*regexp.Regexp{argument, parameter} {
		for _, m := range r.FindAllStringSubmatch(line, 4) {
			p.argument(int(m[1][0]-'1'), hex(m[2]))
			found = true
		}
	}
	return found
}

func (p *parser) list(values []string) {
	for i, v := range values[:min(len(values), 4)] {
		if v = strings.TrimSpace(v); v != "" {
			p.argument(i, hex(v))
		}
	}
}

// values handles KEY_VALUES_STRING: a key and its value, on two lines.
func (p *parser) values(line string) bool {
	if m := keyLine.FindStringSubmatch(line); m != nil {
		p.key, p.marks = m[1], p.marks+1
		return true
	}
	if m := keyValue.FindStringSubmatch(line); m != nil {
		p.value(m[1], strings.TrimSpace(m[2]))
		p.marks++
		return true
	}
	m := valueLine.FindStringSubmatch(line)
	if m == nil || p.key == "" {
		return false
	}
	p.value(p.key, strings.TrimSpace(m[1]))
	p.key = ""
	return true
}

// value takes a key of KEY_VALUES_STRING.
func (p *parser) value(key, v string) {
	said := &p.log.Said
	switch key {
	case "Failure.Bucket", "Failure Bucket", "Failure bucket":
		said.Bucket = v
	case "Failure.Hash":
		said.Hash = v
	case "AV.Type":
		p.log.Access = strings.ToLower(v)
	case "AV.Fault":
		set(&p.log.Access, strings.ToLower(v))
	case "WER.OS.Version":
		p.version(v)
	case "WER.OS.Branch":
		set(&p.log.Lab, v)
	case "Bugcheck.Code.LegacyAPI", "Bugcheck.Code.KiBugCheckData", "Bugcheck.Code.TargetModel":
		if p.log.Code == 0 {
			p.code(uint32(hex(v)), "")
		}
	}
}

// machine handles the debugger's greeting, which describes the machine.
func (p *parser) machine(line string) bool {
	l := &p.log
	if m := kernel.FindStringSubmatch(line); m != nil {
		n, _ := strconv.ParseUint(m[1], 10, 32)
		l.Build, l.Arch = uint32(n), map[string]string{"x64": "x64", "ARM 64-bit": "arm64", "x86 compatible": "x86"}[m[2]]
		p.marks++
		return true
	}
	if m := uptime.FindStringSubmatch(line); m != nil {
		n := func(s string) time.Duration { v, _ := strconv.Atoi(s); return time.Duration(v) }
		l.Uptime = n(m[1])*24*time.Hour + n(m[2])*time.Hour + n(m[3])*time.Minute + n(m[4])*time.Second
		return true
	}
	if m := session.FindStringSubmatch(line); m != nil {
		zone := m[5]
		if len(zone) == 4 {
			zone = "0" + zone
		}
		if at, err := time.Parse("Jan 2 15:04:05 2006 -07:00", m[1]+" "+m[2]+" "+m[3]+" "+m[4]+zone); err == nil {
			at = at.UTC()
			l.Time = &at
		}
		return true
	}
	if m := product.FindStringSubmatch(line); m != nil {
		l.ProductType = map[string]uint32{"WinNt": 1, "LanManNt": 2, "Server": 3}[m[1]]
		return true
	}
	for _, prefix := range []string{"Built by: ", "Edition build lab: "} {
		if v, ok := strings.CutPrefix(line, prefix); ok {
			l.Lab = v
			return true
		}
	}
	return false
}

// version takes the build from 10.0.19041.1.
func (p *parser) version(v string) {
	if parts := strings.Split(v, "."); len(parts) >= 3 && p.log.Build == 0 {
		n, _ := strconv.ParseUint(parts[2], 10, 32)
		p.log.Build = uint32(n)
	}
}

// set fills in what is not known yet.
func set(field *string, v string) {
	if *field == "" {
		*field = v
	}
}

// field takes a field of the analysis: NAME:  value.
func (p *parser) field(name, v string) {
	l, said := &p.log, &p.log.Said
	v = annotation.ReplaceAllString(v, "")
	switch name {
	case "STACK_TEXT":
		p.stackBegins()
	case "BUGCHECK_CODE", "BUGCHECK":
		code, _, _ := strings.Cut(v, " ")
		p.code(uint32(hex(code)), "")
	case "BAD_STACK_POINTER":
		l.BadStack = true
	case "BUGCHECK_STR":
		said.Class = v
	case "FAILURE_BUCKET_ID":
		said.Bucket = v
	case "BUCKET_ID":
		set(&said.Bucket, v)
	case "FAILURE_ID_HASH", "FAILURE_HASH":
		said.Hash = v
	case "IMAGE_NAME":
		said.Image = v
	case "MODULE_NAME":
		said.Module = v
	case "SYMBOL_NAME":
		said.Symbol = v
	case "PROCESS_NAME":
		set(&l.Process, v)
	case "DEFAULT_BUCKET_ID", "PRIMARY_PROBLEM_CLASS", "ANALYSIS_VERSION", "LAST_CONTROL_TRANSFER":
		l.Old = true
	case "EXCEPTION_CODE":
		if m := status.FindStringSubmatch(v); m != nil {
			p.exception(m[1])
		}
	case "CURRENT_IRQL":
		p.irql(v)
	case "MEMORY_CORRUPTOR":
		l.Corruptor = v
	case "READ_ADDRESS", "WRITE_ADDRESS", "EXECUTE_ADDRESS":
		set(&l.Access, strings.ToLower(strings.TrimSuffix(name, "_ADDRESS")))
	case "FAULTING_IP", "FOLLOWUP_IP", "IP_IN_PAGED_CODE", "FAILED_INSTRUCTION_ADDRESS":
		p.other(v)
	default:
		p.aboutMachine(name, v)
		return
	}
	p.marks++
}

// aboutMachine takes the fields that describe the machine.
func (p *parser) aboutMachine(name, v string) {
	l := &p.log
	switch name {
	case "PRODUCT_TYPE":
		if l.ProductType == 0 && len(v) == 1 && v >= "1" && v <= "3" {
			l.ProductType = uint32(v[0] - '0')
		}
	case "CPU_VENDOR":
		l.Vendor = v
	case "OS_VERSION":
		p.version(v)
	case "BUILD_VERSION_STRING", "BUILDOSVER_STR":
		if m := build.FindStringSubmatch(v); m != nil && l.Build == 0 {
			n, _ := strconv.ParseUint(m[1], 10, 32)
			l.Build = uint32(n)
		}
		set(&l.Lab, v)
	case "BUILDLAB_STR":
		set(&l.Lab, v)
	case "OSPLATFORM_TYPE":
		if v == "x64" || v == "x86" || v == "arm64" {
			set(&l.Arch, v)
		}
	case "VIRTUAL_MACHINE":
		l.VirtualMachine = v
	case "SYSTEM_MANUFACTURER":
		l.Manufacturer = v
	case "SYSTEM_PRODUCT_NAME":
		l.Product = v
	case "BIOS_VENDOR", "BIOS_VERSION", "BIOS_DATE":
		if len(l.BIOS) < 3 {
			l.BIOS = append(l.BIOS, v)
		}
	case "KERNEL_VERIFIER_ENABLED", "VERIFIER_DRIVER_ENTRY":
		l.Verifier = true
	}
}

func (p *parser) exception(s string) {
	if p.log.Exception == nil {
		v := uint32(hex(s))
		p.log.Exception = &v
	}
}

func (p *parser) irql(s string) {
	if v, err := strconv.ParseUint(s, 16, 8); err == nil {
		irql := uint8(v)
		p.log.IRQL = &irql
	}
}

// other takes lines that are no fields.
func (p *parser) other(line string) {
	l := &p.log
	if m := exception.FindStringSubmatch(line); m != nil {
		p.exception(m[1])
		return
	}
	if m := detail.FindStringSubmatch(line); m != nil {
		if v := hex(m[1]); l.Detail == 0 {
			l.Detail = uint32(v)
		}
		return
	}
	if m := attempt.FindStringSubmatch(line); m != nil {
		set(&l.Access, m[1])
		return
	}
	if m := caused.FindStringSubmatch(line); m != nil {
		set(&l.Said.Image, m[1])
		set(&l.Said.Symbol, m[2])
		p.marks++
		return
	}
	if strings.HasPrefix(line, "Unloaded modules:") {
		p.unloaded = true
		return
	}
	if p.points(line) {
		return
	}
	if m := loaded.FindStringSubmatch(line); m != nil && len(l.Modules) < maxModules {
		start, end := hex(m[1]), hex(m[2])
		if start < end && end-start < maxModuleSize {
			l.Modules = append(l.Modules, Module{Name: m[3], Start: start, End: end, Unloaded: p.unloaded})
		}
	}
}

// maxModuleSize is larger than any driver: two addresses further apart are no
// line of a list of modules.
const maxModuleSize = 1 << 30

// points takes a name and, on the next line, the instruction at its address, as
// FAULTING_IP and .trap print them.
func (p *parser) points(line string) bool {
	l := &p.log
	if pt := p.point; pt != nil {
		p.point = nil
		if m := disasm.FindStringSubmatch(line); m != nil {
			pt.Address = hex(m[1])
			if len(l.Points) < maxPoints {
				l.Points = append(l.Points, *pt)
			}
			return true
		}
	}
	m := named.FindStringSubmatch(line)
	if m == nil || m[2] == "" && m[3] == "" {
		return false
	}
	p.point = &Point{Module: m[1], Symbol: m[2], Offset: hex(m[3])}
	return true
}

package render

import (
	"fmt"
	"io"
	"strings"
	"time"

	"bugcheck/report"
	"bugcheck/win"
)

// columns is the width of the text format.
const columns = 80

// page is a report being written as text.
type page struct {
	strings.Builder
	r    *report.Report
	opts Options
	tr   func(string) string
}

// Text writes the report for an operator: verdict, reasons, what to do, then
// the material. 80 columns.
func Text(w io.Writer, r *report.Report, opts Options) error {
	p := &page{r: r, opts: opts, tr: translator(opts.Lang)}
	p.summary()
	p.overview()
	p.knownIssues()
	p.evidence()
	p.steps()
	p.eventLog()
	p.stack()
	p.parameters()
	p.userRegisters()
	p.userThreads()
	p.rest()
	if _, err := io.WriteString(w, p.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// say is a sentence in the page's language.
func (p *page) say(format string, args ...any) string { return report.T(format, args...).In(p.tr) }

func (p *page) text(t report.Text) string { return t.In(p.tr) }

// Colours mark cause, confidence and trust; they never carry meaning alone.
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
	dim    = "2"
)

func (p *page) paint(code, s string) string {
	if !p.opts.Color || code == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p *page) line(s string) {
	p.WriteString(strings.TrimRight(s, " "))
	p.WriteByte('\n')
}

// block writes text under a label, wrapped and indented to where it began.
func (p *page) block(lead, color, text string) {
	indent := cells(lead)
	for i, l := range wrap(text, columns-indent) {
		if i == 0 {
			p.line(p.paint(color, lead) + l)
		} else {
			p.line(strings.Repeat(" ", indent) + l)
		}
	}
}

func (p *page) heading(s string) {
	p.line("")
	p.line(p.paint(bold, s))
}

func (p *page) summary() {
	for _, l := range wrap(p.text(p.r.Verdict.Summary), columns) {
		p.line(p.paint(bold, l))
	}
	p.line("")
}

// labelWidth is the column where the overview's values begin.
func (p *page) labelWidth() int { return 14 }

func (p *page) row(label, value string) {
	if value != "" {
		p.block("  "+pad(p.say(label), p.labelWidth()-2), "", value)
	}
}

func (p *page) overview() {
	r := p.r
	p.row("Cause", p.cause())
	if b := r.Bugcheck; b != nil {
		p.row("Stop code", fmt.Sprintf("0x%08X %s", uint32(b.Code), b.Name))
		p.row("Meaning", p.text(b.Meaning))
	}
	p.row("Exception", p.exception())
	p.row("When", p.when())
	p.row("Where", p.where())
	p.row("System", p.system())
	p.row("Machine", p.machine())
	if r.Dump.Source == report.SourceLog {
		p.row("Dump", p.say("none: this is the text of a debugger (see the notes)"))
	}
	p.row("Owner", strings.Join(r.Verdict.Owners, p.say(", ")))
	if r.Dump.Truncated {
		p.row("Dump", p.say("cut off: parts of it are missing (see the notes)"))
	}
}

func (p *page) cause() string {
	v := &p.r.Verdict
	cause := p.say(causeWords[v.Cause])
	if v.Image != "" && (v.Cause == report.CauseDriver || v.Cause == report.CauseProgram) {
		cause = p.say("%s, %s", report.T(causeWords[v.Cause]), v.Image)
	}
	color := map[string]string{report.High: green, report.Medium: yellow, report.Low: red}[v.Confidence]
	return p.say("%s (confidence: %s)", cause, p.paint(color, p.say(v.Confidence)))
}

// causeWords are the words for people of verdict.cause.
var causeWords = map[string]string{
	report.CauseDriver:           "driver",
	report.CauseHardware:         "hardware",
	report.CauseMemoryCorruption: "damaged memory, by whom is not known",
	report.CauseWindows:          "Windows itself",
	report.CauseFirmware:         "firmware",
	report.CauseStorage:          "storage",
	report.CauseRequested:        "requested",
	report.CauseUnknown:          "unknown",
	report.CauseProgram:          "program",
}

func (p *page) when() string {
	s := p.r.System
	if s == nil || s.CrashedAt == nil {
		return ""
	}
	at := s.CrashedAt.Format("2006-01-02 15:04:05 UTC")
	if s.UptimeSeconds == nil {
		return at
	}
	return p.say("%s, after %s up", at, p.text(report.Span(time.Duration(*s.UptimeSeconds)*time.Second)))
}

// cutName is how many characters of a longer name EPROCESS keeps.
const cutName = 14

func (p *page) where() string {
	r := p.r
	var parts []string
	if r.Process != nil {
		name := r.Process.Name
		if len(name) == cutName && !p.user() && !strings.HasSuffix(strings.ToLower(name), ".exe") {
			name += "…"
		}
		if r.Process.PID != nil {
			name += fmt.Sprintf(" (%d)", *r.Process.PID)
		}
		parts = append(parts, p.say("process %s", name))
	}
	if p.user() {
		return strings.Join(append(parts, p.userThread()...), p.say(", "))
	}
	if r.Processor != nil {
		parts = append(parts, p.say("processor %d", *r.Processor))
	}
	if r.IRQL != nil {
		parts = append(parts, fmt.Sprintf("IRQL %d", *r.IRQL))
	}
	return strings.Join(parts, p.say(", "))
}

func (p *page) system() string {
	s := p.r.System
	if s == nil {
		return ""
	}
	version := s.Version
	if s.ReleaseBuild != 0 {
		version = win.VersionNumber(s.ReleaseBuild) // what winver shows
	}
	var parts []string
	if name := systemName(p.release(s.Name), version, s.Lab); name != "" {
		parts = append(parts, name)
	}
	if s.Processors > 0 {
		parts = append(parts, p.text(processorCount(s.Processors)))
	}
	if a := p.r.Dump.Architecture; a != "" {
		parts = append(parts, a)
	}
	if s.VirtualMachine != nil {
		parts = append(parts, p.say("virtual machine (%s)", *s.VirtualMachine))
	}
	return strings.Join(parts, p.say(", "))
}

func processorCount(n uint32) report.Text {
	if n == 1 {
		return report.T("%d processor", n)
	}
	return report.T("%d processors", n)
}

// release says in the page's language which releases a build may be of.
func (p *page) release(name string) string {
	if first, last, ok := strings.Cut(name, " or "); ok {
		return p.say("%s or %s", first, last)
	}
	if first, last, ok := strings.Cut(name, " to "); ok {
		return p.say("%s to %s", first, last)
	}
	return name
}

// systemName is the release with version and lab in parentheses, as far as they are
// known.
func systemName(name, version, lab string) string {
	var details []string
	for _, s := range []string{version, lab} {
		if s != "" {
			details = append(details, s)
		}
	}
	if name == "" {
		return strings.Join(details, ", ")
	}
	if version == "" {
		return name
	}
	return name + " (" + strings.Join(details, ", ") + ")"
}

func (p *page) machine() string {
	s := p.r.System
	if s == nil {
		return ""
	}
	var parts []string
	name := strings.TrimSpace(deref(s.Manufacturer) + " " + deref(s.Model))
	if name == "" || s.Model == nil && s.Baseboard != "" {
		name = s.Baseboard
	}
	for _, part := range []string{name, s.Processor} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if s.Bios != nil {
		parts = append(parts, p.say("BIOS %s", *s.Bios))
	}
	return strings.Join(parts, p.say(", "))
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// knownIssues writes what the user's own rules say, before our reasons: who wrote
// them knows the machine.
func (p *page) knownIssues() {
	if len(p.r.KnownIssues) == 0 {
		return
	}
	p.heading(p.say("Known issues, by your rules"))
	for _, k := range p.r.KnownIssues {
		p.block("  ", "", p.say("%s (rule %s)", k.Name, k.Rule))
		for _, more := range []string{k.Advice, k.Link} {
			if more != "" {
				p.block("    ", "", more)
			}
		}
	}
}

func (p *page) evidence() {
	if len(p.r.Verdict.Evidence) == 0 {
		return
	}
	p.heading(p.say("Why"))
	for i, e := range p.r.Verdict.Evidence {
		fact := p.text(e.Fact)
		if !e.Source.IsZero() {
			fact = p.say("%s [%s]", fact, e.Source)
		}
		p.block(fmt.Sprintf("%3d %s", i+1, pad(p.say(e.Trust), 10)), trustColors[e.Trust], fact)
	}
	for _, s := range p.suspects() {
		p.block(pad("    "+p.say("or"), 14), dim, s)
	}
}

// suspects says of each alternative what speaks for it; of several that the same speaks
// for, once.
func (p *page) suspects() []string {
	var list []string
	all := p.r.Verdict.Alternatives
	for i := 0; i < len(all); {
		why, names := p.text(all[i].Why), []string(nil)
		for ; i < len(all) && p.text(all[i].Why) == why; i++ {
			names = append(names, p.describe(all[i].Image))
		}
		list = append(list, p.say("%s: %s.", strings.Join(names, p.say(", ")), why))
	}
	return list
}

var trustColors = map[string]string{report.Recorded: green, report.Derived: yellow, report.Guessed: red}

// describe adds to an image's name what is known of it.
func (p *page) describe(image string) string {
	d, ok := p.opts.Lang.Driver(image)
	switch {
	case !ok:
		return image
	case d.Microsoft():
		return fmt.Sprintf("%s (Windows: %s)", image, d.What)
	}
	return fmt.Sprintf("%s (%s: %s)", image, d.Owner, d.What)
}

func (p *page) aboutScanned() string {
	return p.say("A scanned frame is a word on the stack that could be a return address: it may be left over from an earlier call.")
}

// shownFrames is how many frames the text shows without All.
const shownFrames = 16

func (p *page) stack() {
	frames := p.r.Stack
	if len(frames) == 0 {
		return
	}
	p.heading(p.say("Stack"))
	width := p.trustWidth(frames)
	for i, f := range frames {
		if i == shownFrames && !p.opts.All {
			p.line(p.say("    … %d more (--all lists them)", len(frames)-i))
			break
		}
		p.line(fmt.Sprintf("%3d %s %s", i, p.paint(trustColors[frameTrust[f.Trust]], pad(p.say(f.Trust), width)), frameName(f)))
	}
	if scanned(frames) {
		p.block("    ", "", p.aboutScanned())
	}
}

// trustWidth is how many columns the trust words of the frames take.
func (p *page) trustWidth(frames []report.Frame) int {
	n := 14
	for _, f := range frames {
		n = max(n, cells(p.say(f.Trust))+1)
	}
	return n
}

var frameTrust = map[string]string{
	report.TrustContext: report.Recorded, report.TrustUnwind: report.Derived,
	report.TrustFramePointer: report.Derived, report.TrustScan: report.Guessed,
}

// sure are the frames in front of the first scanned one: what was unwound from that
// is worth no more.
func sure(frames []report.Frame) []report.Frame {
	for i, f := range frames {
		if f.Trust == report.TrustScan {
			return frames[:i]
		}
	}
	return frames
}

func scanned(frames []report.Frame) bool { return len(sure(frames)) < len(frames) }

// frameName is module!symbol+offset, module+offset, or the bare address; with the
// line of the source where it is known.
func frameName(f report.Frame) string {
	name := address(uint64(f.Address))
	switch {
	case f.Symbol != "" && f.Offset != nil && !f.Inline:
		name = fmt.Sprintf("%s!%s+%s", f.Module, f.Symbol, *f.Offset)
	case f.Symbol != "":
		name = f.Module + "!" + f.Symbol
	case f.Module != "" && f.Offset != nil:
		name = fmt.Sprintf("%s+%s", f.Module, *f.Offset)
	}
	if f.Inline {
		name += " (inline)"
	}
	if f.File != "" && f.Line != 0 {
		name += fmt.Sprintf(" [%s @ %d]", baseName(f.File), f.Line)
	}
	return name
}

// baseName is the last part of a path of Windows or Unix.
func baseName(path string) string { return path[strings.LastIndexAny(path, `\/`)+1:] }

// address writes an address as debuggers do.
func address(v uint64) string { return fmt.Sprintf("%08x`%08x", v>>32, v&0xffffffff) }

func (p *page) parameters() {
	if p.r.Bugcheck == nil {
		return
	}
	p.heading(p.say("Stop code parameters"))
	for i, v := range p.r.Bugcheck.Parameters {
		text := p.text(v.Meaning)
		if note := p.text(v.Note); note != "" && text != "" {
			text = p.say("%s: %s", text, note)
		} else if note != "" {
			text = note
		}
		p.block(fmt.Sprintf("  %d %s  ", i+1, address(uint64(v.Value))), "", text)
	}
}

func (p *page) rest() {
	r := p.r
	p.line("")
	if r.Verdict.Bucket != "" {
		p.line(pad(p.say("Bucket"), p.labelWidth()) + r.Verdict.Bucket)
		p.line(pad("", p.labelWidth()) + r.Verdict.BucketHash)
	}
	p.debugger()
	p.thirdParty()
	p.unloaded()
	p.notes()
}

// debugger is what another debugger said of the same crash.
func (p *page) debugger() {
	d := p.r.Debugger
	if d == nil {
		return
	}
	label := p.say("WinDbg said")
	who := d.Image
	if d.Symbol != "" {
		who = strings.TrimSpace(who + " (" + d.Symbol + ")")
	}
	for _, text := range []string{who, d.Bucket, d.BucketHash, p.text(d.Difference)} {
		if text != "" {
			p.block(pad(label, p.labelWidth()), "", text)
			label = ""
		}
	}
}

// shownDrivers is how many third-party drivers the text names without All.
const shownDrivers = 12

func (p *page) thirdParty() {
	if text := p.thirdPartyText(); text != "" {
		p.block(pad(p.say("Third party"), p.labelWidth()), "", text)
	}
}

// thirdPartyText counts and names what is not from Microsoft among the modules.
func (p *page) thirdPartyText() string {
	if len(p.r.Modules) == 0 {
		return ""
	}
	var names []string
	for _, m := range p.r.Modules {
		if p.user() {
			if m.ThirdParty != nil && *m.ThirdParty {
				names = append(names, m.Image)
			}
			continue
		}
		if d, ok := win.English.Driver(m.Image); (!ok || !d.Microsoft()) && !strings.HasPrefix(m.Image, "dump_") && !strings.HasPrefix(m.Image, "hiber_") {
			names = append(names, m.Image)
		}
	}
	shown := names
	more := ""
	if len(shown) > shownDrivers && !p.opts.All {
		shown = shown[:shownDrivers]
		more = p.say(" … (--all lists them)")
	}
	count := p.say("%d of %d drivers", len(names), len(p.r.Modules))
	if p.user() {
		count = p.say("%d of %d modules", len(names), len(p.r.Modules))
	}
	if len(names) > 0 {
		count = p.say("%s: %s", count, strings.Join(shown, ", ")+more)
	}
	return count
}

func (p *page) unloaded() {
	var names []string
	for _, u := range p.r.Unloaded {
		if u.Image != "" {
			names = append(names, u.Image)
		}
	}
	if len(names) > 0 && p.opts.All {
		p.block(pad(p.say("Unloaded"), p.labelWidth()), "", strings.Join(names, ", "))
	}
}

func (p *page) notes() {
	label := p.say("Notes")
	for _, n := range p.noteTexts() {
		p.block(pad(label, p.labelWidth()), "", n)
		label = ""
	}
}

// noteTexts says what is missing: of symbols first.
func (p *page) noteTexts() []string {
	var list []string
	if p.r.Symbols != nil && !p.r.Symbols.Note.IsZero() {
		list = append(list, p.text(p.r.Symbols.Note))
	}
	for _, n := range p.r.Notes {
		list = append(list, p.say("%s: %s", report.T(n.Where), n.Text))
	}
	return list
}
